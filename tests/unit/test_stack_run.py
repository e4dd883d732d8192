"""What `make run` shows, as far as it can be tested without running anything."""

import shlex

import pytest

from shared.settings import read_settings
from stack.run import RunSettings, format_invitation


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
