"""The reader on a real Kafka: it serves what the topic says, says how far it is, and never mixes two topics."""

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewPartitions

from stack.servers.kafka import Kafka
from stack.servers.ports import free_port
from tests.support.programs import Program
from tests.support.topics import Topics, compacted
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

PARTITIONS = 3


class Reader:
    """One reader process, with a folder and a port of its own.

    Args:
        topics: whose user-info it reads.
        folder: where its state and log are.
    """

    def __init__(self, topics: Topics, folder: Path) -> None:
        self.port = free_port()
        # A connection for each request, since readers come and go.
        connections = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", limits=connections)
        folder.mkdir(exist_ok=True)
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": topics.bootstrap_servers,
            "USER_INFO_TOPIC": topics.name("user-info"),
            "READER_PORT": str(self.port),
            "READER_STATE_DIR": str(folder / "state"),
        }
        self.program = Program("reader", environment, folder / "log")

    def get(self, path: str) -> httpx.Response:
        """Ask it something."""
        return self._client.get(path)

    def state(self) -> dict[str, object]:
        """Return what /readyz says; nothing while it does not answer."""
        try:
            found: dict[str, object] = self.get("/readyz").json()
        except httpx.TransportError:
            return {}
        return found

    def await_state(self, state: str, seconds: float = 30.0) -> dict[str, object]:
        """Wait until /readyz says a state, and return all that it says."""

        def reached() -> dict[str, object] | None:
            said = self.state()
            return said if said.get("state") == state else None

        return wait_for(reached, seconds, f"{state}; now {self.state()}; log:\n{self.program.log()[-1500:]}") or {}

    def start(self) -> "Reader":
        """Start it and wait until it is ready."""
        self.program.start()
        self.await_state("ready")
        return self

    def holds(self, truth: dict[str, bytes]) -> bool:
        """Tell whether it answers exactly what a truth says, unknown users included."""
        for user in {*truth, "nobody"}:
            answer = self.get(f"/users/{user}")
            if user in truth and (answer.status_code, answer.content) != (200, truth[user]):
                return False
            if user not in truth and answer.status_code != httpx.codes.NOT_FOUND:
                return False
        return True


@pytest.fixture
def topics(kafka: str) -> Topics:
    """Give a user-info topic of this test's own."""
    made = Topics(kafka)
    made.create("user-info", partitions=PARTITIONS)
    return made


@pytest.fixture
def readers(tmp_path: Path, topics: Topics) -> Iterator[list[Reader]]:
    """Give three readers, not started; whatever still runs at the end is killed."""
    made = [Reader(topics, tmp_path / f"reader-{number}") for number in range(3)]
    yield made
    for reader in made:
        reader.program.kill()


@pytest.fixture
def reader(readers: list[Reader]) -> Reader:
    """Give one reader, not started."""
    return readers[0]


def body(user: str, count: int = 0) -> bytes:
    """Return a record's bytes."""
    return json.dumps({"userId": user, "likeCount": count}).encode()


def test_a_reader_is_ready_on_an_empty_topic_and_follows_it(topics: Topics, reader: Reader) -> None:
    """Records, replacements and deletions appear as they are written; the value is served byte for byte."""
    reader.start()
    assert reader.get("/users/alice").status_code == 404
    topics.send("user-info", b"alice", body("alice"))
    topics.send("user-info", "zoë/1".encode(), "não é JSON".encode())
    topics.flush()
    wait_for(lambda: reader.get("/users/alice").content == body("alice"))
    wait_for(lambda: reader.get("/users/zo%C3%AB%2F1").content == "não é JSON".encode())
    topics.send("user-info", b"alice", None)
    topics.flush()
    wait_for(lambda: reader.get("/users/alice").status_code == 404)
    assert reader.program.stop() == 0


def test_only_committed_records_are_served(topics: Topics, reader: Reader) -> None:
    """An aborted record is never seen, markers at the end keep nobody waiting, nor does an open transaction."""
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
    reader.start()
    assert reader.get("/users/kept").status_code == 200
    assert reader.get("/users/dropped").status_code == 404
    assert reader.get("/users/open").status_code == 404
    writer.commit_transaction()
    wait_for(lambda: reader.get("/users/open").status_code == 200)


def test_keys_that_are_no_ids_are_skipped(topics: Topics, reader: Reader) -> None:
    """Reserved keys, keys that are not UTF-8, too long or empty stop nothing and are served to nobody."""
    for key in (b"\xffheartbeat", b"\x80", b"x" * 512, b""):
        topics.send("user-info", key, b"{}")
    topics.send("user-info", b"x" * 511, b"2" * (2 * 1024 * 1024))
    topics.flush()
    reader.start()
    assert len(reader.get(f"/users/{'x' * 511}").content) == 2 * 1024 * 1024
    assert reader.get(f"/users/{'x' * 512}").status_code == 404
    assert reader.get("/users/%FFheartbeat").status_code == 404
    assert "skipping a record whose key is no id" in reader.program.log()


def test_three_readers_agree_though_one_is_killed_again_and_again(topics: Topics, readers: list[Reader]) -> None:
    """SIGKILL in mid-load, several times: what each holds afterwards is the topic, and nothing else."""
    chance = random.Random(5)
    for reader in readers:
        reader.start()
    for _ in range(4):
        readers[0].await_state("ready", 60)
        for count in range(2_000):
            user = str(chance.randrange(300))
            value = None if chance.random() < 0.1 else body(user, count)
            topics.send("user-info", user.encode(), value)
        readers[0].program.kill()
        readers[0].program.start()
    readers[0].await_state("ready", 60)
    topics.flush()
    readers[0].await_state("ready", 60)
    truth = {key.decode(): value for key, value in compacted(topics.messages("user-info")).items()}
    wait_for(lambda: all(reader.holds(truth) for reader in readers), 60, "each reader equal to the topic")


def test_before_it_has_caught_up_it_says_so_and_never_404(topics: Topics, reader: Reader) -> None:
    """While the topic does not exist, users are answered 503 with when to retry, and /readyz says why."""
    topics.admin.delete_topics([topics.name("user-info")])[topics.name("user-info")].result()
    reader.program.start()
    said = reader.await_state("starting")
    assert list(said) == ["state", "applied", "target", "percent", "secondsLeft", "reason"]
    wait_for(lambda: "(USER_INFO_TOPIC) does not exist" in str(reader.state()["reason"]))
    answer = reader.get("/users/alice")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert reader.get("/readyz").status_code == 503
    assert reader.get("/livez").status_code == 200
    topics.create("user-info", partitions=PARTITIONS)
    reader.await_state("ready")


def test_a_recreated_topic_is_rebuilt_beside_the_old_data(topics: Topics, reader: Reader) -> None:
    """A topic made anew under a running reader replaces what it held, all of it, and reads never stop."""
    topics.send("user-info", b"old", body("old"))
    topics.flush()
    reader.start()
    name = topics.name("user-info")
    topics.admin.delete_topics([name])[name].result()
    wait_for(lambda: name not in topics.admin.list_topics(timeout=10).topics)
    assert reader.get("/users/old").status_code == 200
    topics.create("user-info", partitions=PARTITIONS + 1)
    topics.send("user-info", b"new", body("new"))
    topics.flush()

    def is_there() -> bool:
        answer = reader.get("/users/new")
        assert answer.status_code in {200, 404}
        return answer.status_code == 200

    wait_for(is_there)
    assert reader.get("/users/old").status_code == 404
    reader.await_state("ready")
    reader.program.kill()
    reader.start()
    assert reader.get("/users/new").status_code == 200


def test_a_topic_recreated_while_it_was_away_is_rebuilt(topics: Topics, reader: Reader) -> None:
    """A reader that comes back to another topic of the same name does not mix the two."""
    topics.send("user-info", b"old", body("old"))
    topics.flush()
    reader.start()
    assert reader.program.stop() == 0
    name = topics.name("user-info")
    topics.admin.delete_topics([name])[name].result()
    wait_for(lambda: name not in topics.admin.list_topics(timeout=10).topics)
    topics.create("user-info", partitions=PARTITIONS)
    topics.send("user-info", b"new", body("new"))
    topics.flush()
    reader.start()
    wait_for(lambda: reader.get("/users/new").status_code == 200)
    assert reader.get("/users/old").status_code == 404
    assert "the topic was deleted and made anew" in reader.program.log()


def test_partitions_added_in_place_are_refused_and_old_data_served(topics: Topics, reader: Reader) -> None:
    """A user's records may lie in two partitions then: the reader keeps what it has and says what to do."""
    topics.send("user-info", b"alice", body("alice"))
    topics.flush()
    reader.start()
    name = topics.name("user-info")
    topics.admin.create_partitions([NewPartitions(name, PARTITIONS + 2)])[name].result()
    said = reader.await_state("failed")
    assert f"had {PARTITIONS} partitions and has {PARTITIONS + 2}" in str(said["reason"])
    assert reader.get("/readyz").status_code == 503
    assert reader.get("/users/alice").status_code == 200


def test_a_log_cut_above_the_stored_offset_is_refused_and_old_data_served(topics: Topics, reader: Reader) -> None:
    """Records deleted before they were read leave no sound way on."""
    topics.send("user-info", b"alice", body("alice"))
    topics.flush()
    reader.start()
    assert reader.program.stop() == 0
    for count in range(50):
        topics.send("user-info", b"alice", body("alice", count))
    topics.flush()
    topics.cut("user-info", topics.messages("user-info")[0].partition(), 40)
    reader.program.start()
    said = reader.await_state("failed")
    assert "records in between are gone" in str(said["reason"])
    assert reader.get("/users/alice").content == body("alice")


def test_a_log_cut_below_the_stored_offset_is_refused_and_old_data_served(tmp_path: Path) -> None:
    """A topic that lost its newest records, as an unclean election leaves it, may reuse their offsets for others."""
    with Kafka(tmp_path / "kafka") as kafka:
        topics = Topics(kafka.bootstrap_servers)
        topics.create("user-info", partitions=1)
        for count in range(20):
            topics.send("user-info", b"alice", body("alice", count))
        topics.flush()
        reader = Reader(topics, tmp_path / "reader")
        try:
            reader.start()
            kafka.kill()
            for log in kafka.folder.glob(f"data/{topics.name('user-info')}-0/*"):
                if log.suffix != ".metadata":
                    log.unlink()
            kafka.start()
            said = reader.await_state("failed", 60)
            assert "ends at 0, before 20, which this reader has read" in str(said["reason"])
            assert reader.get("/users/alice").content == body("alice", 19)
        finally:
            reader.program.kill()


def share_of_a_core(pid: int) -> float:
    """Return how much of one core a process has taken over a second."""
    process = psutil.Process(pid)
    process.cpu_percent()
    time.sleep(1)
    return process.cpu_percent() / 100


def test_kafka_may_go_and_come_back(tmp_path: Path) -> None:
    """Reads go on without Kafka, /readyz says how stale they are; so they do when it is away at a reader's start."""
    with Kafka(tmp_path / "kafka") as kafka:
        topics = Topics(kafka.bootstrap_servers)
        topics.create("user-info", partitions=PARTITIONS)
        topics.send("user-info", b"alice", body("alice", 1))
        topics.flush()
        reader = Reader(topics, tmp_path / "reader")
        try:
            reader.start()
            kafka.kill()
            said = reader.await_state("stale")
            assert f"no answer from Kafka at {kafka.bootstrap_servers}" in str(said["reason"])
            assert (reader.get("/readyz").status_code, reader.get("/users/alice").status_code) == (200, 200)
            wait_for(lambda: share_of_a_core(reader.program.pid) < 0.3, what="looking for Kafka without taking a core")
            assert reader.program.stop() == 0

            reader.program.start()
            wait_for(lambda: reader.state().get("state") == "starting")
            assert reader.get("/users/alice").status_code == 503
            reader.await_state("stale")
            assert reader.get("/users/alice").content == body("alice", 1)

            kafka.start()
            reader.await_state("ready")
            topics.send("user-info", b"alice", body("alice", 2))
            topics.flush()
            wait_for(lambda: reader.get("/users/alice").content == body("alice", 2))
        finally:
            reader.program.kill()


def test_a_second_reader_on_the_same_folder_or_port_is_refused_by_name(readers: list[Reader]) -> None:
    """Two processes never share what must be one process's own."""
    first, second = readers[0].start(), readers[1]
    mine = first.program.environment
    for taken, said in (
        ({"READER_STATE_DIR": mine["READER_STATE_DIR"]}, f"is in use by the process {first.program.pid}"),
        ({"READER_PORT": mine["READER_PORT"]}, f"READER_PORT={first.port}"),
    ):
        own = dict(second.program.environment)
        second.program.environment.update(taken)
        second.program.start()
        assert second.program.wait() == 1
        assert said in second.program.log()
        second.program.environment.update(own)
    assert first.get("/livez").status_code == 200
