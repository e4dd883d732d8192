"""What `make run` shows, as far as it can be tested without running anything."""

import os
import shlex

import pytest

from shared.errors import SettingError
from shared.settings import read_settings
from stack.readers import describe_wait
from stack.run import RunSettings, format_invitation


def test_a_folder_that_java_would_not_find_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name in another encoding than UTF-8 has no name in Java."""
    monkeypatch.setenv("STACK_DIR", os.fsdecode(b"/srv/caf\xe9"))
    with pytest.raises(SettingError, match=r"STACK_DIR.*the folder's name is not UTF-8, and Java would not find it"):
        read_settings(RunSettings)


def test_a_shell_takes_the_printed_command_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the name of the stack's folder means to a shell, it arrives as it is."""
    folder = '/srv/it\'s "中 ü" $HOME #1'
    monkeypatch.setenv("STACK_DIR", folder)
    monkeypatch.setenv("STACK_KAFKA_PORT", "9093")
    (command,) = [line for line in format_invitation(read_settings(RunSettings)).splitlines() if " psql -c " in line]
    assert [
        f"STACK_DIR={folder}",
        "STACK_KAFKA_PORT=9093",
        ".venv/bin/python",
        "-m",
        "stack",
        "psql",
        "-c",
        "INSERT INTO likes (user_id, tweet_id) VALUES (1, 1)",
    ] == shlex.split(command)


def test_who_waits_sees_what_for() -> None:
    """What the reader says of the build, and that nothing is wrong before it says anything."""
    building = {"state": "building", "percent": 40.0, "secondsLeft": 8.7, "reason": "it waits for the snapshot"}
    assert "building, 9 s left: it waits for the snapshot" == describe_wait(building)
    assert "starting" == describe_wait({"state": "starting", "secondsLeft": None, "reason": None})
    assert "the reader is ready; the rows are on their way" == describe_wait({"state": "ready"})
    assert "the reader starts" == describe_wait({})
