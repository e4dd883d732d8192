"""The reader's folder when something is wrong with it: what shows is seen at the start, nothing foreign is touched."""

from contextlib import closing
from pathlib import Path

import pytest

from reader.storage.data_file import find_damage
from reader.storage.environment import open_environment
from reader.storage.errors import MapFullError
from reader.storage.generations import Generations, refuse_foreign
from reader.storage.records import FORMAT
from reader.storage.store import Store
from replication.compatibility import CopyIdentity
from replication.records import Record
from shared.errors import StateError

ALICE = Record(b"alice", b"{}" * 1000, 0, 7, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a reader's folder that holds alice, closed."""
    generations = Generations(tmp_path / "state")
    generations.live.apply([ALICE], {0: 8})
    generations.close()
    return tmp_path / "state"


def data_of(folder: Path) -> Path:
    """Return the live copy's data file."""
    return folder / "copy-1" / "data.mdb"


def test_the_map_grows_from_a_few_pages(tmp_path: Path) -> None:
    """What does not fit is refused whole, fits after growth, and lies there when the store is opened again."""
    store = Store(tmp_path, map_bytes=32 * 1024)
    records = [Record(b"%d" % number, b"v" * 10_000, 0, number, 0) for number in range(50)]
    grown = 0
    while store.count() == 0:
        try:
            store.apply(records, {0: 50})
        except MapFullError:
            assert {} == store.offsets()
            store.grow()
            grown += 1
    assert grown > 2
    store.close()
    reopened = Store(tmp_path, map_bytes=32 * 1024)
    assert {record.key: record.value for record in records} == reopened.items()
    reopened.close()


def test_a_file_that_was_cut_short_is_found_before_it_is_opened(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """However much is missing at its end, the copy is dropped with a warning, and the topic is replayed."""
    whole = data_of(folder).read_bytes()
    for kept in (1, 100, 4096, 4200, len(whole) // 2, len(whole) - 1):
        data_of(folder).write_bytes(whole[:kept])
        generations = Generations(folder)
        assert {} == generations.live.items()
        generations.close()
        assert "it is deleted, and the topic is replayed" in caplog.text
        caplog.clear()


def test_damaged_meta_pages_are_found_before_it_is_opened(folder: Path) -> None:
    """Neither meta page may hold anything else than LMDB's."""
    whole = bytearray(data_of(folder).read_bytes())
    for offset in (16, 4096 + 16):
        damaged = whole.copy()
        damaged[offset] ^= 0xFF
        data_of(folder).write_bytes(damaged)
        assert find_damage(data_of(folder)) is not None
        generations = Generations(folder)
        assert 0 == generations.live.count()
        generations.close()


def test_a_whole_file_is_not_mistaken_for_a_damaged_one(folder: Path) -> None:
    """What was closed, and what was never begun, is opened as it is."""
    assert find_damage(data_of(folder)) is None
    assert find_damage(folder / "absent") is None
    generations = Generations(folder)
    assert {b"alice": ALICE.value} == generations.live.items()
    generations.close()


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A folder with files of others is not written to, be they named like ours or not."""
    for name, content in (("family.jpg", "photograph"), ("current", "the current state of affairs")):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (folder / name).write_text(content)
        for opening in (refuse_foreign, Generations):
            with pytest.raises(StateError, match="is not a reader's folder") as refused:
                opening(folder)
            assert str(folder) in str(refused.value)
        assert [name] == [file.name for file in folder.iterdir()]
        assert content == (folder / name).read_text()


def test_a_read_waits_for_its_own_page_alone(tmp_path: Path) -> None:
    """The system reads no other pages along with it, in the process that writes and in those that only serve."""
    Store(tmp_path).close()
    for read_only in (False, True):
        with open_environment(tmp_path, 1 << 20, read_only=read_only, shared=True) as environment:
            assert environment.flags()["readahead"] is False


def test_logs_and_what_a_file_system_leaves_make_no_folder_foreign(tmp_path: Path) -> None:
    """A new folder may hold a log already, as that of `make run`, or a file system's own entries."""
    for name in ("log", "reader.log", "lost+found", ".keep"):
        (tmp_path / name).touch()
    refuse_foreign(tmp_path)


def test_a_copy_that_was_open_when_the_machine_went_down_is_not_trusted(folder: Path) -> None:
    """Its pages may be torn where nothing shows it: after another boot the topic is replayed."""
    generations = Generations(folder)
    generations.live.close()
    (folder / "opened-in").write_text("another boot")
    generations = Generations(folder)
    assert {} == generations.live.items()
    generations.close()


def test_data_of_another_format_is_not_served(tmp_path: Path) -> None:
    """What this version cannot read counts as no data, however complete it was."""
    store = Store(tmp_path)
    for written, readable in ((None, False), (FORMAT + 1, False), (FORMAT, True)):
        if written is not None:
            identity = {"cluster": "c", "topic": "t", "partitions": 1, "format": written}
            store.write_notes(identity=identity, complete=1)
        assert store.complete is readable
    store.close()


def test_a_folder_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    """A file where the folder should be stops the start with a message."""
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(StateError, match=f"READER_STATE_DIR={file} cannot be used"):
        Generations(file)
    assert "" == file.read_text()


def test_a_view_knows_how_many_partitions_the_topic_has(tmp_path: Path) -> None:
    """As the copy's identity says; nothing before the copy has one."""
    store = Store(tmp_path)
    with closing(store.view()) as view:
        assert view.partitions is None
    store.write_notes(identity=CopyIdentity("cluster", "topic", 7, FORMAT).to_note())
    with closing(store.view()) as view:
        assert 7 == view.partitions
    store.close()
