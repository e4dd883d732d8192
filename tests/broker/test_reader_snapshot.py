"""Copies of a reader's data: taken while it serves, started from by another, refused where they do not fit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reader.storage.store import Store
from tests.support.readers import Reader, body
from tests.support.topics import USER_INFO_PARTITIONS, Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

USERS = {str(number): body(str(number)) for number in range(40)}


@pytest.fixture
def snapshot(topics: Topics, readers: list[Reader], tmp_path: Path) -> Path:
    """Give a snapshot that was taken of the first reader while it served."""
    for user, value in USERS.items():
        topics.send("user-info", user.encode(), value)
    topics.flush()
    readers[0].start_and_wait()
    target = tmp_path / "snapshot"
    done = readers[0].run("snapshot", str(target))
    assert (0, "") == (done.returncode, done.stderr)
    return target


def test_a_reader_starts_from_a_snapshot_and_catches_up(topics: Topics, readers: list[Reader], snapshot: Path) -> None:
    """What it holds, and where it continues, is in the manifest; what came afterwards is read from the topic."""
    manifest = json.loads((snapshot / "manifest.json").read_text())
    assert len(USERS) == manifest["records"]
    assert len(USERS) == sum(manifest["offsets"].values())
    assert USER_INFO_PARTITIONS == manifest["identity"]["partitions"]
    topics.send("user-info", b"1", None)
    topics.send("user-info", b"later", body("later"))
    topics.flush()
    second = readers[1]
    second.environment["READER_SNAPSHOT"] = str(snapshot)
    second.start_and_wait()
    assert f"starting from the snapshot {snapshot}" in second.log()
    assert "refused" not in second.log()
    assert second.holds({user: value for user, value in USERS.items() if user != "1"} | {"later": body("later")})
    assert 404 == second.get("/users/1").status_code
    second.kill()
    second.start_and_wait()
    assert body("later") == second.get("/users/later").content


def test_a_snapshot_is_not_looked_at_where_there_is_data(readers: list[Reader], snapshot: Path) -> None:
    """A restart with the same settings continues with what it has."""
    readers[0].environment["READER_SNAPSHOT"] = str(snapshot)
    readers[0].kill()
    readers[0].start_and_wait()
    assert "starting from the snapshot" not in readers[0].log()


def cut_short(snapshot: Path) -> None:
    """Lose the end of the data."""
    data = snapshot / "data.mdb"
    data.write_bytes(data.read_bytes()[:-4096])


def change_a_byte(snapshot: Path) -> None:
    """Change one bit of one user's record."""
    data = snapshot / "data.mdb"
    data.write_bytes(data.read_bytes().replace(b'"likeCount": 0', b'"likeCount": 1', 1))


def lose_the_manifest(snapshot: Path) -> None:
    """Be a copy that was interrupted."""
    (snapshot / "manifest.json").unlink()


def be_of_the_future(snapshot: Path) -> None:
    """Be of a format that this version does not know."""
    manifest = json.loads((snapshot / "manifest.json").read_text())
    (snapshot / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut_short, "it is damaged: data.mdb has"),
        (change_a_byte, "it is damaged: the checksum of data.mdb is not that of its manifest"),
        (lose_the_manifest, "it is incomplete: No such file or directory"),
        (be_of_the_future, "it has format 99"),
        (shutil.rmtree, "it is incomplete: No such file or directory"),
    ],
)
def test_a_damaged_snapshot_is_refused_and_the_topic_replayed(
    readers: list[Reader], snapshot: Path, spoil: Callable[[Path], object], reason: str
) -> None:
    """The warning says why; the reader comes up all the same."""
    spoil(snapshot)
    second = readers[1]
    second.environment["READER_SNAPSHOT"] = str(snapshot)
    second.start_and_wait()
    assert f"the snapshot {snapshot} is refused: {reason}" in second.log()
    assert second.holds(USERS)


def test_a_foreign_or_old_snapshot_is_refused_and_never_served(
    topics: Topics, readers: list[Reader], snapshot: Path
) -> None:
    """One of a topic that is gone, and one from before deletions that the topic has forgotten."""
    topics.configure("user-info", delete_retention_ms="0")
    old, foreign = readers[1], readers[2]
    old.environment["READER_SNAPSHOT"] = str(snapshot)
    old.start_and_wait()
    assert f"the snapshot {snapshot} is refused: the data was last complete" in old.log()
    assert old.holds(USERS)
    topics.recreate("user-info")
    topics.send("user-info", b"new", body("new"))
    topics.flush()
    foreign.environment["READER_SNAPSHOT"] = str(snapshot)
    foreign.start()

    def ready_and_never_wrong() -> bool:
        assert not foreign.state() or foreign.get("/users/1").status_code in {404, 503}
        return foreign.state().get("state") == "ready"

    wait_for(ready_and_never_wrong)
    assert f"the snapshot {snapshot} is refused: the topic was deleted and created again" in foreign.log()
    assert 404 == foreign.get("/users/1").status_code
    assert body("new") == foreign.get("/users/new").content


def test_a_snapshot_that_fails_says_why(readers: list[Reader], snapshot: Path, tmp_path: Path) -> None:
    """A folder that is in use, and a reader that has nothing, end with a message and status 1."""
    for reader, target, said in (
        (readers[0], snapshot, "is not empty\n  Try: name a new one"),
        (readers[1], tmp_path / "other", "holds no copy of the topic"),
    ):
        done = reader.run("snapshot", str(target))
        assert 1 == done.returncode
        assert said in done.stderr


def test_the_store_can_be_inspected_while_it_serves(readers: list[Reader], snapshot: Path) -> None:
    """Counts, sizes, offsets and identity as JSON; one user's bytes as they are sent."""
    assert snapshot.exists()
    about = json.loads(readers[0].run("inspect").stdout)
    assert (len(USERS), True) == (about["records"], about["complete"])
    assert len(USERS) == sum(about["offsets"].values())
    assert 0 < about["bytesInUse"] <= about["bytesOnDisk"]
    place, stored = readers[0].run("inspect", "7").stdout.splitlines()
    assert stored.encode() == USERS["7"]
    assert len(USERS["7"]) == json.loads(place)["bytes"]
    absent = readers[0].run("inspect", "nobody")
    assert (1, "no user 'nobody'\n") == (absent.returncode, absent.stderr)


def test_verify_compares_the_store_with_the_topic(topics: Topics, readers: list[Reader], snapshot: Path) -> None:
    """A whole copy has no differences, also while it serves; one that was tampered with does, and ends with 1."""
    assert snapshot.exists()
    done = readers[0].run("verify")
    assert (done.returncode, done.stdout) == (0, f"{len(USERS)} records compared, 0 differences\n")
    assert 0 == readers[0].stop()
    store = Store(readers[0].folder / "copy-1")
    known = store.record(b"1")
    assert known is not None
    ahead = store.offsets()[known.partition] + 5
    store.apply([known._replace(key=b"alien", offset=ahead - 1)], {known.partition: ahead})
    store.close()
    for count in range(10):
        topics.send("user-info", b"1", body("1", count))
    topics.flush()
    done = readers[0].run("verify")
    assert 1 == done.returncode
    assert f"user '1': the store holds {known.partition}:{known.offset}, the topic {known.partition}" in done.stdout
    assert f"user 'alien': the store holds {known.partition}:{ahead - 1}, the topic nothing" in done.stdout
    assert f"{len(USERS) + 1} records compared, 2 differences" in done.stdout
