"""The reader and its disk, full, damaged, or written by another version: it serves what is right and says the rest."""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reader.storage.records import FORMAT
from reader.storage.store import Store
from tests.support.readers import Reader, body
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

SMALL, LARGE = 12 * 1024 * 1024, 400 * 1024 * 1024


@contextmanager
def small_disk(folder: Path, reader: Reader) -> Iterator[Callable[[], object]]:
    """Give a running reader little room, and what gives it more.

    Root gets a file system of its own; anyone else a limit on the size of a file, which a write meets just so.
    """
    if run_system("mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)):
        try:
            reader.start_and_wait()
            yield lambda: run_system("mount", "-o", f"remount,size={LARGE}", str(folder))
        finally:
            reader.kill()
            assert run_system("umount", str(folder))
        return
    reader.start_and_wait()
    unlimited = resource.prlimit(reader.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(reader.pid, resource.RLIMIT_FSIZE, (SMALL, unlimited[1]))
    yield lambda: resource.prlimit(reader.pid, resource.RLIMIT_FSIZE, unlimited)


def run_system(*command: str) -> bool:
    """Run one of the system's commands, and return whether it succeeded."""
    program = shutil.which(command[0])
    return program is not None and subprocess.run([program, *command[1:]], check=False).returncode == 0


def test_a_full_disk_keeps_the_copy_served_and_recovers(topics: Topics, reader: Reader) -> None:
    """Nothing is lost or skipped: /readyz says why it is stale, and with more room it catches up."""
    folder = reader.folder
    folder.mkdir()
    topics.send("user-info", b"alice", body("alice"))
    topics.flush()
    with small_disk(folder, reader) as make_room:
        for number in range(8_000):
            topics.send("user-info", str(number).encode(), b"%d" % number * 1000)
        topics.send("user-info", b"alice", body("alice", 1))
        topics.flush()
        full = f"the reader's folder {folder}/copy-1 cannot be written to"
        wait_for(lambda: full in str(reader.state().get("reason")), 60, "what is wrong")
        assert "stale" == reader.state()["state"]
        assert 200 == reader.get("/readyz").status_code
        assert 200 == reader.get("/users/alice").status_code
        make_room()
        reader.await_state("ready")
        truth = {str(number): b"%d" % number * 1000 for number in (0, 4_321, 7_999)} | {"alice": body("alice", 1)}
        wait_for(lambda: reader.holds(truth), 60, "all that came while there was no room")


def test_a_file_cut_short_while_it_was_away_is_replayed(topics: Topics, reader: Reader) -> None:
    """Opening it would end the process at the first touch of what is missing; so it is not opened."""
    for number in range(60):
        topics.send("user-info", str(number).encode(), body(str(number)))
    topics.flush()
    reader.start_and_wait()
    assert 0 == reader.stop()
    data = reader.folder / "copy-1" / "data.mdb"
    os.truncate(data, data.stat().st_size // 2)
    reader.start_and_wait()
    assert "was cut short" in reader.log()
    assert reader.holds({str(number): body(str(number)) for number in range(60)})


def test_data_of_another_format_is_rebuilt_and_swapped(topics: Topics, reader: Reader) -> None:
    """What another version left is neither served nor written to; once the new copy is complete, it is deleted."""
    topics.send("user-info", b"alice", body("alice"))
    topics.flush()
    reader.start_and_wait()
    assert 0 == reader.stop()
    folder = reader.folder
    store = Store(folder / "copy-1")
    store.write_notes(identity={**store.note("identity"), "format": FORMAT + 1})
    store.close()
    reader.start_and_wait()
    assert "of a format that this version does not write" in reader.log()
    assert body("alice") == reader.get("/users/alice").content
    wait_for(lambda: ["copy-2"] == [copy.name for copy in folder.glob("copy-*")])
    assert "copy-2" == (folder / "current").read_text()
