"""What the processes of one reader share: the memory between them, and a copy that one writes and others read."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reader.settings import ReaderSettings
from reader.status.report import LiveCopy, StatusReport
from reader.storage.store import Store
from reader.workers.shared_memory import HALF_BYTES, SLOT_BYTES, SharedMemory
from reader.workers.worker import REPORT_SLOT, Follower
from replication.readiness import Readiness
from replication.records import Record
from shared.settings import read_settings

READY = Readiness("ready", serves=True)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[SharedMemory]:
    """Give a memory with two slots."""
    made = SharedMemory.create(tmp_path, 2)
    yield made
    made.close()


def test_what_is_written_is_read_by_all(memory: SharedMemory) -> None:
    """Each slot holds what was last written there, seen by every process that has the memory."""
    other = SharedMemory(memory.file, 2)
    assert (None, 0) == (other.read(0), other.version(0))
    for number, text in enumerate((b"one", b"two", b"", b"x" * 100_000), start=1):
        memory.write(0, text)
        assert (text, number) == (other.read(0), other.version(0))
    assert other.read(1) is None


def test_a_writer_that_comes_back_continues(memory: SharedMemory) -> None:
    """A process that replaces another finds what that has written, and what it writes is newer."""
    memory.write(1, b"of the first")
    second = SharedMemory(memory.file, 2)
    assert b"of the first" == second.read(1)
    second.write(1, b"of the second")
    assert b"of the second" == memory.read(1)


@pytest.mark.parametrize("torn_at", [0, 8, 12, 16, 30])
def test_a_write_that_was_torn_is_not_read(memory: SharedMemory, torn_at: int) -> None:
    """The previous text is read instead, wherever the writer died."""
    memory.write(0, b"whole")
    begin = HALF_BYTES if memory.version(0) % 2 == 0 else 0
    memory._memory[begin + torn_at : begin + torn_at + 4] = b"torn"  # noqa: SLF001 - nothing else can tear it
    assert b"whole" == memory.read(0)
    assert b"whole" == SharedMemory(memory.file, 2).read(0)


def test_more_than_there_is_room_for_is_refused(memory: SharedMemory) -> None:
    """Nothing runs over into another slot."""
    with pytest.raises(ValueError, match="do not fit"):
        memory.write(0, b"x" * SLOT_BYTES)
    assert memory.read(1) is None


def test_readers_never_see_half_a_text(memory: SharedMemory) -> None:
    """While one writes as fast as it can, what another reads is always one of the texts."""
    other = SharedMemory(memory.file, 2)
    done = threading.Event()

    def write() -> None:
        for number in range(3_000):
            memory.write(0, b"%d," % number * 500)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        text = other.read(0) or b"0,"
        assert 1 == len(set(text.split(b",")[:-1]))
    writer.join()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReaderSettings:
    """Give settings with a folder of this test's own."""
    monkeypatch.setenv("READER_STATE_DIR", str(tmp_path))
    return read_settings(ReaderSettings)


def announce_copy(memory: SharedMemory, copy: str) -> None:
    """Say which copy is live."""
    memory.write(REPORT_SLOT, json.dumps(StatusReport(READY, live_copy=LiveCopy(copy)).to_document()).encode())


def test_a_worker_switches_to_another_copy_when_the_supervisor_says_so(
    memory: SharedMemory, settings: ReaderSettings
) -> None:
    """From then on it answers out of that, though the old one is deleted; while it cannot open that, it is not ready.

    What the report says is of the live copy, so the old one's data must not be served with it.
    """
    for name in ("copy-1", "copy-2"):
        store = Store(settings.reader_state_dir / name)
        store.apply([Record(b"alice", name.encode(), 0, 0, 0)], {0: 1})
        store.close()
    announce_copy(memory, "copy-1")
    follower = Follower(settings, memory)
    for told, served in (("copy-1", b"copy-1"), ("copy-9", b"copy-1"), ("copy-2", b"copy-2")):
        announce_copy(memory, told)
        assert (told.encode() == served) is follower.readiness().serves
        view = follower.view()
        found = view.find(b"alice")
        assert found is not None
        assert served == found.body
        view.close()
        if told == "copy-2":
            shutil.rmtree(settings.reader_state_dir / "copy-1")


def test_a_worker_is_alive_while_the_reader_says_so(memory: SharedMemory, settings: ReaderSettings) -> None:
    """Neither a reader that does not follow its topic any more nor one that has not said anything of late is."""
    Store(settings.reader_state_dir / "copy-1").close()
    for alive, at, expected in ((True, time.monotonic(), True), (False, time.monotonic(), False), (True, -60.0, False)):
        memory.write(
            REPORT_SLOT, json.dumps(StatusReport(READY, alive, LiveCopy("copy-1"), made_at=at).to_document()).encode()
        )
        assert expected is Follower(settings, memory).alive()


WRITER = """
import sys
from pathlib import Path
from reader.storage.errors import MapFullError
from replication.records import Record
from reader.storage.store import Store

store = Store(Path(sys.argv[1]), map_bytes=1 << 16)
print("ready", flush=True)
for line in sys.stdin:
    number, grown = int(line), 0
    while True:
        try:
            store.apply([Record(b"%d" % number, b"x" * 100_000, 0, number, 0)], {0: number + 1})
            break
        except MapFullError:
            store.grow()
            grown += 1
    print(grown, flush=True)
"""


def test_a_worker_reads_on_while_the_map_grows(memory: SharedMemory, settings: ReaderSettings) -> None:
    """The process that writes makes the map larger; the one that reads takes that over and sees what is new."""
    command = [sys.executable, "-c", WRITER, str(settings.reader_state_dir / "copy-1")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert "ready\n" == writer.stdout.readline()
        announce_copy(memory, "copy-1")
        follower = Follower(settings, memory, map_bytes=1 << 16)
        grown = 0
        for number in range(20):
            print(number, file=writer.stdin, flush=True)
            grown += int(writer.stdout.readline())
            view = follower.view()
            assert number + 1 == view.position(0)
            assert view.find(b"%d" % number) is not None
            view.close()
        writer.stdin.close()
        assert 0 == writer.wait(30)
    assert grown > 2
