"""The reader on a real Kafka: it serves what the topic says, says how far it is, and never mixes two topics."""

import itertools
import random
import time
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewPartitions

from stack.servers.kafka import Kafka
from tests.support.readers import Reader, body
from tests.support.topics import USER_INFO_PARTITIONS, Topics, compact
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker


def test_a_reader_is_ready_on_an_empty_topic_and_follows_it(topics: Topics, reader: Reader) -> None:
    """Records, replacements and deletions appear as they are written; the value is served byte for byte."""
    reader.start_and_wait()
    assert 404 == reader.get("/users/alice").status_code
    topics.send("user-info", b"alice", body("alice"))
    topics.send("user-info", "zoë/1".encode(), "não é JSON".encode())
    topics.flush()
    wait_for(lambda: reader.get("/users/alice").content == body("alice"))
    wait_for(lambda: reader.get("/users/zo%C3%AB%2F1").content == "não é JSON".encode())
    topics.send("user-info", b"alice", None)
    topics.flush()
    wait_for(lambda: reader.get("/users/alice").status_code == 404)
    assert 0 == reader.stop()


def test_only_committed_records_are_served(topics: Topics, reader: Reader) -> None:
    """An aborted record is never seen, markers at the end do not keep it waiting, nor does an open transaction."""
    settings = {"bootstrap.servers": topics.bootstrap_servers, "transactional.id": topics.name("writer")}
    writer = Producer(settings)
    writer.init_transactions()
    for user, commit in ((b"kept", True), (b"dropped", False)):
        writer.begin_transaction()
        writer.produce(topics.name("user-info"), body(user.decode()), user, partition=0)
        writer.commit_transaction() if commit else writer.abort_transaction()
    writer.begin_transaction()
    writer.produce(topics.name("user-info"), body("open"), b"open", partition=0)
    writer.flush()
    reader.start_and_wait()
    assert 200 == reader.get("/users/kept").status_code
    assert 404 == reader.get("/users/dropped").status_code
    assert 404 == reader.get("/users/open").status_code
    writer.commit_transaction()
    wait_for(lambda: reader.get("/users/open").status_code == 200)


def test_a_brokers_time_is_not_shown_as_the_sources(topics: Topics, reader: Reader) -> None:
    """Records whose time the broker overwrote are served without one, said once; later ones have theirs again."""
    header = "User-Info-Source-Time-Ms"

    def write(count: int) -> None:
        topics.send("user-info", b"alice", body("alice", count))
        topics.flush()
        wait_for(lambda: reader.get("/users/alice").content == body("alice", count))

    topics.configure("user-info", message_timestamp_type="LogAppendTime")
    reader.start_and_wait()
    for count in (1, 2):
        write(count)
        assert header not in reader.get("/users/alice").headers
    assert 1 == reader.log().count("set the topic's message.timestamp.type=CreateTime")

    topics.configure("user-info", message_timestamp_type="CreateTime")
    counts = itertools.count(3)

    def has_time_again() -> bool:
        write(next(counts))
        return header in reader.get("/users/alice").headers

    wait_for(has_time_again, what="a record whose time is the source's, once the broker leaves times alone")


def test_keys_that_are_no_ids_are_skipped(topics: Topics, reader: Reader) -> None:
    """Reserved keys, keys that are not UTF-8, too long or empty stop nothing and are not served."""
    for key in (b"\xffheartbeat", b"\x80", b"x" * 512, b""):
        topics.send("user-info", key, b"{}")
    topics.send("user-info", b"x" * 511, b"2" * (2 * 1024 * 1024))
    topics.flush()
    reader.start_and_wait()
    assert 2 * 1024 * 1024 == len(reader.get(f"/users/{'x' * 511}").content)
    assert 404 == reader.get(f"/users/{'x' * 512}").status_code
    assert 404 == reader.get("/users/%FFheartbeat").status_code
    assert "skipping a record whose key is not an id" in reader.log()


def test_three_readers_agree_though_one_is_killed_again_and_again(topics: Topics, readers: list[Reader]) -> None:
    """SIGKILL in mid-load, several times: what each holds afterwards is the topic, and nothing else."""
    chance = random.Random(5)
    for reader in readers:
        reader.start_and_wait()
    for _ in range(4):
        readers[0].await_state("ready", 60)
        for count in range(2_000):
            user = str(chance.randrange(300))
            value = None if chance.random() < 0.1 else body(user, count)
            topics.send("user-info", user.encode(), value)
        readers[0].kill()
        readers[0].start()
    readers[0].await_state("ready", 60)
    topics.flush()
    readers[0].await_state("ready", 60)
    truth = {key.decode(): value for key, value in compact(topics.messages("user-info")).items()}
    wait_for(lambda: all(reader.holds(truth) for reader in readers), 60, "each reader equal to the topic")


def test_before_it_has_caught_up_it_says_so_and_never_404(topics: Topics, reader: Reader) -> None:
    """While the topic does not exist, users are answered 503 with when to retry, and /readyz says why."""
    topics.drop("user-info")
    reader.start()
    said = reader.await_state("starting")
    assert ["state", "applied", "target", "percent", "secondsLeft", "reason"] == list(said)
    wait_for(lambda: "(USER_INFO_TOPIC) does not exist" in str(reader.state()["reason"]))
    answer = reader.get("/users/alice")
    assert (503, "1") == (answer.status_code, answer.headers["retry-after"])
    assert 503 == reader.get("/readyz").status_code
    assert 200 == reader.get("/livez").status_code
    topics.create("user-info", partitions=USER_INFO_PARTITIONS)
    reader.await_state("ready")


def test_a_recreated_topic_is_rebuilt_next_to_the_old_data(topics: Topics, reader: Reader) -> None:
    """A topic recreated under a running reader replaces what it held, all of it, and reads never stop."""
    topics.send("user-info", b"old", body("old"))
    topics.flush()
    reader.start_and_wait()
    topics.drop("user-info")
    assert 200 == reader.get("/users/old").status_code
    topics.create("user-info", partitions=USER_INFO_PARTITIONS + 1)
    topics.send("user-info", b"new", body("new"))
    topics.flush()

    def is_there() -> bool:
        answer = reader.get("/users/new")
        assert answer.status_code in {200, 404}
        return answer.status_code == 200

    wait_for(is_there)
    assert 404 == reader.get("/users/old").status_code
    reader.await_state("ready")
    reader.kill()
    reader.start_and_wait()
    assert 200 == reader.get("/users/new").status_code


def test_a_topic_recreated_while_it_was_away_is_rebuilt(topics: Topics, reader: Reader) -> None:
    """A reader that comes back to another topic of the same name does not mix the two."""
    topics.send("user-info", b"old", body("old"))
    topics.flush()
    reader.start_and_wait()
    assert 0 == reader.stop()
    topics.drop("user-info")
    topics.create("user-info", partitions=USER_INFO_PARTITIONS)
    topics.send("user-info", b"new", body("new"))
    topics.flush()
    reader.start_and_wait()
    wait_for(lambda: reader.get("/users/new").status_code == 200)
    assert 404 == reader.get("/users/old").status_code
    assert "the topic was deleted and created again" in reader.log()


def test_partitions_added_in_place_are_refused_and_old_data_served(topics: Topics, reader: Reader) -> None:
    """A user's records may lie in two partitions then: the reader keeps what it has and says what to do."""
    topics.send("user-info", b"alice", body("alice"))
    topics.flush()
    reader.start_and_wait()
    name = topics.name("user-info")
    topics.admin.create_partitions([NewPartitions(name, USER_INFO_PARTITIONS + 2)])[name].result()
    said = reader.await_state("failed")
    assert f"had {USER_INFO_PARTITIONS} partitions and has {USER_INFO_PARTITIONS + 2}" in str(said["reason"])
    assert 503 == reader.get("/readyz").status_code
    assert 200 == reader.get("/users/alice").status_code


def test_a_log_cut_above_the_stored_offset_is_refused_and_old_data_served(topics: Topics, reader: Reader) -> None:
    """Records deleted before they were read leave no sound way on."""
    topics.send("user-info", b"alice", body("alice"))
    topics.flush()
    reader.start_and_wait()
    assert 0 == reader.stop()
    for count in range(50):
        topics.send("user-info", b"alice", body("alice", count))
    topics.flush()
    topics.cut("user-info", topics.messages("user-info")[0].partition(), 40)
    reader.start()
    said = reader.await_state("failed")
    assert "records in between are gone" in str(said["reason"])
    assert body("alice") == reader.get("/users/alice").content


def test_a_log_cut_below_the_stored_offset_is_refused_and_old_data_served(tmp_path: Path) -> None:
    """A topic that lost its newest records, as an unclean election leaves it, may reuse their offsets for others."""
    with Kafka(tmp_path / "kafka") as kafka:
        topics = Topics(kafka.bootstrap_servers)
        topics.create("user-info", partitions=1)
        for count in range(20):
            topics.send("user-info", b"alice", body("alice", count))
        topics.flush()
        reader = Reader(topics.settings(), tmp_path / "reader")
        try:
            reader.start_and_wait()
            kafka.kill()
            for log in kafka.folder.glob(f"data/{topics.name('user-info')}-0/*"):
                if log.suffix != ".metadata":
                    log.unlink()
            kafka.start()
            said = reader.await_state("failed", 60)
            assert "ends at 0, before 20, which the copy has applied" in str(said["reason"])
            assert body("alice", 19) == reader.get("/users/alice").content
        finally:
            reader.kill()


def share_of_a_core(pid: int) -> float:
    """Return how much of one core a process has taken over a second."""
    process = psutil.Process(pid)
    process.cpu_percent()
    time.sleep(1)
    return process.cpu_percent() / 100


def test_kafka_may_go_and_come_back(tmp_path: Path) -> None:
    """Reads continue without Kafka, /readyz says how stale they are; so too when it is away at a reader's start."""
    with Kafka(tmp_path / "kafka") as kafka:
        topics = Topics(kafka.bootstrap_servers)
        topics.create("user-info", partitions=USER_INFO_PARTITIONS)
        topics.send("user-info", b"alice", body("alice", 1))
        topics.flush()
        reader = Reader(topics.settings(), tmp_path / "reader")
        try:
            reader.start_and_wait()
            kafka.kill()
            said = reader.await_state("stale")
            assert f"no answer from Kafka at {kafka.bootstrap_servers}" in str(said["reason"])
            assert (200, 200) == (reader.get("/readyz").status_code, reader.get("/users/alice").status_code)
            wait_for(lambda: share_of_a_core(reader.pid) < 0.3, what="looking for Kafka without taking a core")
            assert 0 == reader.stop()

            reader.start()
            wait_for(lambda: reader.state().get("state") == "starting")
            assert 503 == reader.get("/users/alice").status_code
            reader.await_state("stale")
            assert body("alice", 1) == reader.get("/users/alice").content

            kafka.start()
            reader.await_state("ready")
            topics.send("user-info", b"alice", body("alice", 2))
            topics.flush()
            wait_for(lambda: reader.get("/users/alice").content == body("alice", 2))
        finally:
            reader.kill()


def test_a_second_reader_on_the_same_folder_or_port_is_refused_by_name(readers: list[Reader]) -> None:
    """Two processes never share what must be one process's own."""
    first, second = readers[0].start_and_wait(), readers[1]
    mine = first.environment
    for taken, said in (
        ({"READER_STATE_DIR": mine["READER_STATE_DIR"]}, f"is in use by the process {first.pid}"),
        ({"READER_PORT": mine["READER_PORT"]}, f"READER_PORT={first.port}"),
    ):
        own = dict(second.environment)
        second.environment.update(taken)
        second.start()
        assert 1 == second.wait()
        assert said in second.log()
        second.environment.update(own)
    assert 200 == first.get("/livez").status_code
