"""Logging: one line an event, for people or as JSON for programs; set up once, at a program's edge."""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

PLACE = ("topic", "partition", "offset")
"""What an event that concerns one record names in its `extra`; people read the same in the message."""


def place(topic: str, partition: int, offset: int) -> Mapping[str, object]:
    """Return the `extra` of an event that concerns one record."""
    return dict(zip(PLACE, (topic, partition, offset), strict=True))


def configure(level: str, log_format: str = "text") -> None:
    """Send log records to standard error.

    Args:
        level: least severity that is shown, such as INFO.
        log_format: text, for people, or json, one object a line.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json() if log_format == "json" else logging.Formatter(FORMAT))
    handler.addFilter(_is_news)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)  # they speak to developers, who see them in the tests
    # The engine reports each of its steps; of those, only what it restores is news to an operator.
    logging.getLogger("quixstreams").setLevel(max(logging.getLevelNamesMapping()[level], logging.WARNING))
    logging.getLogger("quixstreams.state.recovery").setLevel(level)


class Json(logging.Formatter):
    """Each event as one line of JSON: time, level, logger, message, and the record's place where it concerns one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        event: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        event |= {name: getattr(record, name) for name in PLACE if hasattr(record, name)}
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False)


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out what the Kafka client says of a property meant for its other half, and of a broker still starting."""
    message = record.getMessage()
    return "CONFWARN" not in message and not ("GETPID" in message and message.endswith("retrying"))
