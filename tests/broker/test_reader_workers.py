"""Several processes that answer for one reader: one copy, one consumer, and none of them missed when it dies."""

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.support.readers import Reader
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

WORKERS = 2


def has_replaced(reader: Reader, victim: psutil.Process) -> bool:
    """Say whether all workers run, without one that has died."""
    pids = {worker.pid for worker in reader.workers() if worker.status() != psutil.STATUS_ZOMBIE}
    return victim.pid not in pids and len(pids) == WORKERS


def has_counted(reader: Reader, unknown_users: int) -> bool:
    """Say whether so many responses of 404 were counted."""
    return reader.metric("reader_answers_total", "404") == unknown_users


def serves(reader: Reader, body: bytes) -> bool:
    """Say whether alice's record is this one."""
    return reader.get_again("/users/alice").content == body


def start(reader: Reader) -> None:
    """Start a reader, and wait until it is ready and all workers answer."""
    reader.start_and_wait()
    wait_for(lambda: reader.metric("reader_processes") == WORKERS, what="all workers' metrics")


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
    made = Reader(topics.settings(), tmp_path / "reader", READER_WORKERS=str(WORKERS))
    start(made)
    yield made
    for process in (*made.workers(), psutil.Process(made.pid)) if made.running else ():
        process.kill()
    made.kill()


def test_any_worker_answers_for_all_and_none_is_missed(reader: Reader, topics: Topics) -> None:
    """Killed again and again they are replaced; every request is answered, rightly, and stays counted."""
    for number in range(4):
        body = b"%d" % number
        topics.send("user-info", b"alice", body)
        topics.flush()
        wait_for(partial(serves, reader, body))
        victim = reader.workers()[number % WORKERS]
        victim.kill()
        for _ in range(40):
            assert 404 == reader.get_again("/users/nobody").status_code
        wait_for(partial(has_replaced, reader, victim))
        wait_for(partial(has_counted, reader, 40 * (number + 1)), what="every answer's count")
    assert 1 == reader.metric("reader_store_records")
    assert "ended with status -9; starting another" in reader.log()
    assert 0 == reader.stop(5)


def test_workers_switch_to_a_rebuilt_copy(reader: Reader, topics: Topics) -> None:
    """A topic recreated under them replaces what all of them serve, and meanwhile none calls a user unknown."""
    topics.recreate("user-info", partitions=2)
    topics.send("user-info", b"alice", b"anew")
    topics.flush()
    seen: list[int] = []

    def rebuilt() -> bool:
        answers = [reader.get_again("/users/alice") for _ in range(10)]
        seen.extend(answer.status_code for answer in answers)
        return {answer.content for answer in answers} == {b"anew"}

    wait_for(rebuilt, 60, "the rebuilt copy in all workers")
    assert {200} == set(seen)


def test_workers_end_with_the_process_that_follows_the_topic(reader: Reader) -> None:
    """However that ends, no worker is left to serve an old copy, and the port is free for the next one."""
    workers = reader.workers()
    reader.kill()
    psutil.wait_procs(workers, timeout=30)
    assert not any(worker.is_running() for worker in workers)
    start(reader)
    assert b"1" == reader.get_again("/users/alice").content
    workers = reader.workers()
    reader.signal(signal.SIGTERM)
    assert 0 == reader.wait(5)
    assert not any(worker.is_running() for worker in workers)


def test_a_second_reader_on_the_same_port_is_refused_by_name(reader: Reader, topics: Topics, tmp_path: Path) -> None:
    """Workers share a port with each other and with no other program."""
    port = str(reader.port)
    second = Reader(topics.settings(), tmp_path / "second", READER_WORKERS=str(WORKERS), READER_PORT=port)
    second.start()
    assert 1 == second.wait()
    assert f"READER_PORT={reader.port}" in second.log()
