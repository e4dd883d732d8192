"""A reader while the topic is being built, on a real Kafka: it answers with whole values or not at all."""

from functools import partial
from pathlib import Path

import pytest

from shared.builds import BuildMark
from shared.parts import partitions_of
from tests.support.readers import Reader, body
from tests.support.topics import USER_INFO_PARTITIONS, Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

PARTS = 2
USERS = {str(number): body(str(number)) for number in range(20)}


def write_marks(topics: Topics, *, whole: bool, percent: float | None = None, parts: range = range(PARTS)) -> None:
    """Write the marks of parts as a joiner does, in every partition that they feed."""
    for part in parts:
        mark = BuildMark(part, PARTS, "b1", whole, percent, percent, None if percent is None else "the snapshot")
        for partition in partitions_of(part, USER_INFO_PARTITIONS, PARTS):
            topics.send("user-info", mark.key, mark.value, partition)
    topics.flush()


def write_users(topics: Topics) -> None:
    """Write every user once, as the pass behind a build does."""
    for user, value in USERS.items():
        topics.send("user-info", user.encode(), value)
    topics.flush()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_user_is_unknown_before_the_build_is_whole(topics: Topics, tmp_path: Path, workers: str) -> None:
    """All requests for users get 503 with the build's progress, also after a restart; then all get their records."""
    reader = Reader(topics.settings(), tmp_path / "reader", READER_WORKERS=workers)
    write_marks(topics, whole=False, percent=10)
    try:
        said = reader.start().await_state("building")
        assert (10, 10) == (said["percent"], said["secondsLeft"])
        assert "the joiner has not finished the topic yet: it waits for the snapshot" == said["reason"]
        write_users(topics)
        write_marks(topics, whole=True, parts=range(1))
        wait_for(lambda: 55 == reader.state()["percent"])
        reader.kill()
        reader.start().await_state("building")
        for path in ("/users/1", "/users?id=1", "/users/1/events", "/users/nobody"):
            answer = reader.get_again(path)
            problem = answer.json()
            assert (503, "1", "building") == (answer.status_code, answer.headers["retry-after"], problem["state"])
            assert ("urn:user-info:problem:not-ready", 55, 10) == (
                problem["type"],
                problem["percent"],
                problem["secondsLeft"],
            )
        assert (1, 55) == (reader.metric("reader_state", "building"), reader.metric("reader_build_percent"))
        refused = reader.run("inspect", "1")
        assert (1, "") == (refused.returncode, refused.stdout)
        assert "is not whole yet" in refused.stderr
        assert "is not complete yet" in reader.run("snapshot", str(tmp_path / "snapshot")).stderr
        write_marks(topics, whole=True)
        reader.await_state("ready")
        wait_for(partial(reader.holds, USERS))
        assert 0 == reader.run("inspect", "1").returncode
    finally:
        reader.kill()


def test_a_reader_with_whole_values_keeps_them_whatever_is_built(topics: Topics, readers: list[Reader]) -> None:
    """A rebuild shows its progress as a metric; a build from lost state keeps only those waiting that hold nothing."""
    write_marks(topics, whole=False)
    write_users(topics)
    write_marks(topics, whole=True)
    kept, new = readers[:2]
    kept.start_and_wait()
    write_marks(topics, whole=True, percent=30)
    wait_for(lambda: 30 == kept.metric("reader_build_percent"))
    new.start_and_wait()
    assert new.holds(USERS)
    new.kill()
    write_marks(topics, whole=False, percent=40)
    wait_for(lambda: 40 == kept.metric("reader_build_percent"))
    assert ("ready", True) == (kept.state()["state"], kept.holds(USERS))
    for reader in (kept, new):
        reader.kill()
        reader.start_and_wait()
        assert reader.holds(USERS)
    readers[2].start().await_state("building")


def test_a_copy_beside_old_data_replaces_it_only_once_it_is_whole(topics: Topics, reader: Reader) -> None:
    """The topic was created again: empty, then being built, it leaves the old values alone."""
    write_users(topics)
    reader.start_and_wait()
    topics.recreate("user-info", partitions=USER_INFO_PARTITIONS)
    wait_for(lambda: "holds no user yet" in str(reader.state()["reason"]))
    write_marks(topics, whole=False, percent=10)
    topics.write("user-info", b"1", body("1", 9))
    wait_for(lambda: "has not finished the topic yet" in str(reader.state()["reason"]))
    assert ("stale", True) == (reader.state()["state"], reader.holds(USERS))
    reader.kill()
    reader.start()
    wait_for(lambda: "has not finished the topic yet" in str(reader.state().get("reason")))
    assert reader.holds(USERS)
    write_marks(topics, whole=True)
    wait_for(partial(reader.holds, {"1": body("1", 9)}))
    reader.await_state("ready")


def test_a_reader_gives_up_an_empty_topic_for_its_first_build(topics: Topics, reader: Reader) -> None:
    """After some seconds it counts as a topic without users, until a joiner says otherwise."""
    reader.start_and_wait()
    write_marks(topics, whole=False)
    reader.await_state("building")
    assert 503 == reader.get("/users/1").status_code
    write_users(topics)
    write_marks(topics, whole=True)
    reader.await_state("ready")
    assert reader.holds(USERS)


def test_a_snapshot_of_whole_values_is_served_in_the_middle_of_a_build(
    topics: Topics, readers: list[Reader], tmp_path: Path
) -> None:
    """What was whole when it was taken stays so where it is installed."""
    write_users(topics)
    write_marks(topics, whole=True)
    readers[0].start_and_wait()
    assert 0 == readers[0].run("snapshot", str(tmp_path / "snapshot")).returncode
    write_marks(topics, whole=False)
    readers[1].environment["READER_SNAPSHOT"] = str(tmp_path / "snapshot")
    readers[1].start_and_wait()
    assert readers[1].holds(USERS)
    assert "0 differences" in readers[1].run("verify").stdout
