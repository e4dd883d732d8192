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
