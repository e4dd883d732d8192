"""Several processes that answer for one reader: one copy, one consumer, and none of them missed when it dies."""

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stack.servers.ports import free_port
from tests.support.asking import get
from tests.support.programs import Program
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

WORKERS = 2


class Reader:
    """A reader with two workers.

    Args:
        topics: whose user-info it reads.
        folder: where its state and log are.
    """

    def __init__(self, topics: Topics, folder: Path) -> None:
        self.port = free_port()
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": topics.bootstrap_servers,
            "USER_INFO_TOPIC": topics.name("user-info"),
            "READER_PORT": str(self.port),
            "READER_STATE_DIR": str(folder / "state"),
            "READER_WORKERS": str(WORKERS),
        }
        self.program = Program("reader", environment, folder / "log")

    def get(self, path: str) -> httpx.Response:
        """Ask on a connection of its own, as often as that is broken off; what is answered is taken as it is."""
        for _ in range(10):
            try:
                return get(f"http://127.0.0.1:{self.port}{path}", timeout=30)
            except (httpx.ReadError, httpx.RemoteProtocolError):
                continue
        raise AssertionError("broken off again and again")

    def metric(self, *name: str) -> float:
        """Return a sample by its name and the values of its labels."""
        families = text_string_to_metric_families(self.get("/metrics").text)
        found = {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}
        return found.get(name, 0.0)

    def workers(self) -> list[psutil.Process]:
        """Return its workers that are alive."""
        return psutil.Process(self.program.pid).children()

    def has_replaced(self, victim: psutil.Process) -> bool:
        """Tell whether all workers are there without one that has died."""
        pids = {worker.pid for worker in self.workers() if worker.status() != psutil.STATUS_ZOMBIE}
        return victim.pid not in pids and len(pids) == WORKERS

    def has_counted(self, unknown_users: int) -> bool:
        """Tell whether so many answers of 404 were counted."""
        return self.metric("reader_answers_total", "404") == unknown_users

    def serves(self, body: bytes) -> bool:
        """Tell whether alice's record is this one."""
        return self.get("/users/alice").content == body

    def start(self) -> None:
        """Start it, and wait until it is ready and all workers answer."""
        self.program.start()
        self.program.wait_until_ready(self.port)
        wait_for(lambda: self.metric("reader_processes") == WORKERS, what="all workers' metrics")


@pytest.fixture
def topics(kafka: str) -> Topics:
    """Give a user-info topic of this test's own that holds alice."""
    made = Topics(kafka)
    made.create("user-info", partitions=2)
    made.send("user-info", b"alice", b"1")
    made.flush()
    return made


@pytest.fixture
def reader(topics: Topics, tmp_path: Path) -> Iterator[Reader]:
    """Give a reader that is ready."""
    made = Reader(topics, tmp_path)
    made.start()
    yield made
    for process in (*made.workers(), psutil.Process(made.program.pid)) if made.program.running else ():
        process.kill()
    made.program.kill()


def test_any_worker_answers_for_all_and_none_is_missed(reader: Reader, topics: Topics) -> None:
    """Killed again and again they are replaced; every request is answered, rightly, and stays counted."""
    for number in range(4):
        body = b"%d" % number
        topics.send("user-info", b"alice", body)
        topics.flush()
        wait_for(partial(reader.serves, body))
        victim = reader.workers()[number % WORKERS]
        victim.kill()
        for _ in range(40):
            assert reader.get("/users/nobody").status_code == 404
        wait_for(partial(reader.has_replaced, victim))
        wait_for(partial(reader.has_counted, 40 * (number + 1)), what="every answer's count")
    assert reader.metric("reader_store_records") == 1
    assert "ended with status -9; starting another" in reader.program.log()
    assert reader.program.stop(5) == 0


def test_workers_go_over_to_a_rebuilt_copy(reader: Reader, topics: Topics) -> None:
    """A topic made anew under them replaces what all of them serve, and none answers that a user is unknown before."""
    name = topics.name("user-info")
    topics.admin.delete_topics([name])[name].result()
    wait_for(lambda: name not in topics.admin.list_topics(timeout=10).topics)
    topics.create("user-info", partitions=2)
    topics.send("user-info", b"alice", b"anew")
    topics.flush()
    seen: list[int] = []

    def rebuilt() -> bool:
        answers = [reader.get("/users/alice") for _ in range(10)]
        seen.extend(answer.status_code for answer in answers)
        return {answer.content for answer in answers} == {b"anew"}

    wait_for(rebuilt, 60, "the rebuilt copy in all workers")
    assert set(seen) == {200}


def test_workers_end_with_the_process_that_follows_the_topic(reader: Reader) -> None:
    """However that ends, nobody is left who would serve an old copy, and the port is free for the next one."""
    workers = reader.workers()
    reader.program.kill()
    psutil.wait_procs(workers, timeout=30)
    assert not any(worker.is_running() for worker in workers)
    reader.start()
    assert reader.get("/users/alice").content == b"1"
    workers = reader.workers()
    reader.program.signal(signal.SIGTERM)
    assert reader.program.wait(5) == 0
    assert not any(worker.is_running() for worker in workers)


def test_a_second_reader_on_the_same_port_is_refused_by_name(reader: Reader, topics: Topics, tmp_path: Path) -> None:
    """Workers share a port with each other and with nobody else."""
    (tmp_path / "second").mkdir()
    second = Reader(topics, tmp_path / "second")
    second.program.environment["READER_PORT"] = str(reader.port)
    second.program.start()
    assert second.program.wait() == 1
    assert f"READER_PORT={reader.port}" in second.program.log()
