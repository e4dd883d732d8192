"""Logging: one line per event, for people or as JSON for programs; set up once, when a program starts."""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

RECORD_FIELDS = ("topic", "partition", "offset")
"""What an event about one Kafka record carries in its `extra`; the message says the same to people."""


def record_fields(topic: str, partition: int, offset: int) -> Mapping[str, object]:
    """Return the `extra` of an event about one Kafka record."""
    return dict(zip(RECORD_FIELDS, (topic, partition, offset), strict=True))


def configure(level: str, log_format: str = "text", quiet: Mapping[str, str] = MappingProxyType({})) -> None:
    """Send log records to standard error.

    Args:
        level: least severity that is shown, such as INFO.
        log_format: text, for people, or json, one object per line.
        quiet: logger -> least severity shown of it, for libraries that say too much at `level`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json() if log_format == "json" else logging.Formatter(FORMAT))
    handler.addFilter(_is_worth_showing)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)  # meant for developers, who see them in the tests
    levels = logging.getLevelNamesMapping()
    for name, least in quiet.items():
        logging.getLogger(name).setLevel(max(levels[level], levels[least]))


class Json(logging.Formatter):
    """Each event as one line of JSON: time, level, logger, message, and topic, partition and offset if it has them."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        event: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        event |= {name: getattr(record, name) for name in RECORD_FIELDS if hasattr(record, name)}
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False)


def _is_worth_showing(record: logging.LogRecord) -> bool:
    """Drop the Kafka client's warnings about properties meant for its other half, and about a broker still starting."""
    message = record.getMessage()
    return "CONFWARN" not in message and not ("GETPID" in message and message.endswith("retrying"))
