"""Locks on folders and ids: held by one process, named by their holder, gone when it dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared import lock
from shared.errors import AlreadyRunning, StateError, UserInformationError

HOLDER = """
import sys, pathlib
from shared import lock
held = lock.acquire(pathlib.Path(sys.argv[1]), "it")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_is_held_until_it_is_closed(tmp_path: Path) -> None:
    """The second one learns what is in use, and by which process; its folder is made where missing."""
    path = tmp_path / "state" / "lock"
    first = lock.acquire(path, "READER_STATE_DIR=state")
    with pytest.raises(AlreadyRunning) as refused:
        lock.acquire(path, "READER_STATE_DIR=state")
    assert f"READER_STATE_DIR=state is in use by the process {os.getpid()}; give each process its own" == str(
        refused.value
    )
    first.close()
    lock.acquire(path, "READER_STATE_DIR=state").close()


def test_a_lock_goes_with_its_process_however_that_ends(tmp_path: Path) -> None:
    """After SIGKILL nothing has to be cleaned up."""
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert "held\n" == holder.stdout.readline()
        with pytest.raises(AlreadyRunning, match=rf"is in use by the process {holder.pid};"):
            lock.acquire(path, "it")
        holder.send_signal(signal.SIGKILL)
        holder.wait(30)
    with lock.acquire(path, "it"):
        assert str(os.getpid()) == path.read_text()


def test_a_place_where_no_lock_can_be_made_is_named(tmp_path: Path) -> None:
    """A file where the folder should be stops the start with one clear line."""
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=r"^JOINER_STATE_DIR=x cannot be used: .*file"):
        lock.acquire(tmp_path / "file" / "lock", "JOINER_STATE_DIR=x")
    assert issubclass(StateError, UserInformationError)
