"""Logging: one line an event, for people; set up once, at a program's edge."""

import logging
import sys

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def configure(level: str) -> None:
    """Send log records to standard error.

    Args:
        level: least severity that is shown, such as INFO.
    """
    logging.basicConfig(level=level, format=FORMAT, stream=sys.stderr, force=True)
    logging.captureWarnings(capture=True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)  # they speak to developers, who see them in the tests
    # The engine reports each of its steps; of those, only what it restores is news to an operator.
    logging.getLogger("quixstreams").setLevel(max(logging.getLevelNamesMapping()[level], logging.WARNING))
    logging.getLogger("quixstreams.state.recovery").setLevel(level)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out what the Kafka client says of a property meant for its other half, and of a broker still starting."""
    message = record.getMessage()
    return "CONFWARN" not in message and not ("GETPID" in message and message.endswith("retrying"))
