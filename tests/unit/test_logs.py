"""Log lines: for people, or one JSON object each."""

import json
import logging
from collections.abc import Iterator

import pytest

from shared import logs


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Take back what a test does to the process's logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level


def test_json_lines_hold_what_programs_look_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Each event is one line of JSON, and names the record's place where it concerns one."""
    logs.configure("INFO", "json")
    logging.getLogger("joiner").info("assigned %d partitions", 3)
    logging.getLogger("joiner").warning("dead letter: bad\nvalue", extra=logs.record_fields("likes", 2, 41))
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert {"level": "INFO", "logger": "joiner", "message": "assigned 3 partitions"}.items() <= first.items()
    assert "topic" not in first
    assert "dead letter: bad\nvalue" == second["message"]
    assert {"topic": "likes", "partition": 2, "offset": 41}.items() <= second.items()
    assert first["time"].endswith("+00:00")


def test_json_lines_hold_an_error_s_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """A trace stays within its event's line."""
    logs.configure("INFO", "json")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("reader").exception("answering failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["exception"].endswith("ValueError: broken")


def test_lines_for_people_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Time, level, logger and message, in a line."""
    logs.configure("INFO")
    logging.getLogger("joiner").warning("waiting", extra=logs.record_fields("likes", 2, 41))
    assert capsys.readouterr().err.rstrip().endswith("WARNING joiner: waiting")
