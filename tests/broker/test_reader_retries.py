"""Readers that come and go under clients that then ask another one: no answer is wrong, or older than one before it."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Message

from shared.threads import BackgroundThread
from tests.support.consistency import History, Written, find_violations
from tests.support.readers import Reader, body
from tests.support.retrying_client import ReaderChaos, RetryingClient
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

KEPT = [b"kept-%d" % number for number in range(100)]
"""Users who are there from the beginning and are never deleted."""

HOT = KEPT[:2]
"""Those of them who change all the time, so that no two readers hold the same record of theirs for long."""

FLEETING = [b"fleeting-%d" % number for number in range(20)]
"""Users who come and go."""

NOBODY = [b"nobody-%d" % number for number in range(5)]
PARTITIONS = 4


class Source(BackgroundThread):
    """Writes records and deletions, some hundreds a second, until it is stopped; no two records are alike."""

    def __init__(self, topics: Topics) -> None:
        super().__init__("source")
        self._topics = topics
        self._chance = random.Random(1)
        self._number = 0

    def _run(self) -> None:
        while not self.stopping.wait(0.02):
            for user in (*HOT, *HOT, *self._chance.sample(KEPT, 3)):
                self.put(user)
            self.put(self._chance.choice(FLEETING), deleted=self._chance.random() < 0.5)

    def put(self, user: bytes, *, deleted: bool = False) -> None:
        """Write a record, or a deletion."""
        self._number += 1
        self._topics.send("user-info", user, None if deleted else body(user.decode(), self._number))


@pytest.fixture
def topics(kafka: str) -> Topics:
    """Give a user-info topic of this test's own."""
    made = Topics(kafka)
    made.create("user-info", partitions=PARTITIONS)
    return made


@pytest.fixture
def source(topics: Topics) -> Iterator[Source]:
    """Give a source that has written every user who is kept, and keeps writing."""
    made = Source(topics)
    for user in KEPT:
        made.put(user)
    topics.flush()
    with made:
        yield made
    topics.flush()


@pytest.fixture
def readers(topics: Topics, source: Source, tmp_path: Path) -> Iterator[list[Reader]]:
    """Give three readers and one with two workers, all of them ready."""
    assert source.alive
    made = [Reader(topics.settings(), tmp_path / f"reader-{number}") for number in range(4)]
    made[-1].environment["READER_WORKERS"] = "2"
    for reader in made:
        reader.start()
    for reader in made:
        reader.await_state("ready", 60)
    yield made
    for reader in made:
        reader.kill()


@pytest.fixture
def clients(readers: list[Reader]) -> Iterator[list[RetryingClient]]:
    """Give clients that ask for everybody, two of them for nothing older than they have seen."""
    ports = [reader.port for reader in readers]
    users = [*KEPT, *FLEETING, *NOBODY, *HOT * 50]
    made = [RetryingClient(ports, users, seed, careful=seed > 0) for seed in range(3)]
    for client in made:
        client.start()
    yield made
    for client in made:
        client.stop()


def histories_of(messages: list[Message]) -> dict[bytes, History]:
    """Return what was written about each user."""
    found: dict[bytes, History] = {}
    for message in messages:
        key, partition, offset = message.key(), message.partition(), message.offset()
        found.setdefault(key, History(partition, [])).written.append(Written(offset, message.value()))
    return found


def test_a_client_that_retries_never_reads_wrong_or_older_than_before(
    topics: Topics,
    source: Source,
    readers: list[Reader],
    clients: list[RetryingClient],
    record_property: Callable[[str, object], None],
) -> None:
    """SIGKILL of readers and of single workers, in the midst of updates: no false 404, no offset that goes back."""
    # 1. Every reader is killed twice, and single workers three times; all of them come back, and answer again.
    ReaderChaos(readers, seed=11).run(kills=2, workers=3)
    for reader in readers:
        reader.await_state("ready", 60)
    for client in clients:
        client.forget_whom()
    wait_for(lambda: all(client.whom == {*range(len(readers))} for client in clients), 60, "an answer of each reader")

    # 2. Then all is quiet, and what was answered is held against what was written.
    source.stop()
    for client in clients:
        client.stop()
    topics.flush()
    histories = histories_of(topics.messages("user-info"))
    answers = [answer for client in clients for answer in client.answers]
    assert [] == find_violations(histories, answers)
    assert [client.unanswered for client in clients] == [None] * len(clients)
    # 3. Kept users were never answered as absent; the others were both present and absent.
    absent = {answer.user for answer in answers if answer.record_id is None}
    present = {answer.user for answer in answers if answer.record_id is not None}
    assert present >= {*KEPT}
    assert not absent & {*KEPT}
    assert absent & present
    assert absent & present <= {*FLEETING}
    assert absent >= {*NOBODY}
    # 4. Each absence said up to where it is true, which careful clients sent to the next reader.
    assert [] == [answer for answer in answers if answer.record_id is None and answer.absent_at is None]
    record_property("answers", len(answers))
    record_property("moves", sum(client.moves for client in clients))
    record_property("refused for being behind", sum(client.behind for client in clients))
