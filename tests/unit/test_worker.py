"""A reader's worker, as far as it can be tested without starting one."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reader.workers import worker


def test_a_worker_logs_as_the_reader_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lines of all processes of a reader go to one place, so they have one format."""
    told: list[tuple[object, ...]] = []

    class BeginsError(Exception):
        """Where the worker would begin to answer."""

    def begin(**_: Callable[[], object]) -> None:
        raise BeginsError

    monkeypatch.setattr(sys, "argv", ["worker", "1", "2", "3", "4", "5"])
    monkeypatch.setattr("shared.logs.configure", lambda *arguments: told.append(arguments))
    monkeypatch.setattr("asyncio.Runner", begin)
    for name, value in {"LOG_LEVEL": "warning", "LOG_FORMAT": "json", "READER_STATE_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BeginsError):
        worker.main()
    assert [("WARNING", "json")] == told
