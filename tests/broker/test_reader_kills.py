"""SIGKILL at random moments of a replay and of live updates: the store is the topic's prefix that its offsets claim.

READER_KILLS sets how often; a hundred take some minutes.
"""

import os
import random
import shutil
import time
from collections.abc import Iterator, Mapping

import pytest
from confluent_kafka import Message

from reader.storage.store import Store
from shared.threads import BackgroundThread
from tests.support.readers import Reader, body
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.broker, pytest.mark.timeout(1800)]

KILLS = int(os.environ.get("READER_KILLS", "10"))

LONG_RUN = 50
"""From so many kills on, some must have fallen into a replay."""
RECORDS = 60_000
USERS = 5_000


class Updates(BackgroundThread):
    """Writes records and deletions, some hundreds a second."""

    def __init__(self, topics: Topics) -> None:
        super().__init__("updates")
        self._topics = topics
        self._chance = random.Random(3)

    def write(self) -> None:
        """Write one."""
        user = str(self._chance.randrange(USERS))
        value = None if self._chance.random() < 0.1 else body(user, self._chance.randrange(99)) * 8
        self._topics.send("user-info", user.encode(), value)

    def _run(self) -> None:
        while not self.stopping.wait(0.02):
            for _ in range(10):
                self.write()


@pytest.fixture
def updates(topics: Topics) -> Iterator[None]:
    """Fill the topic, and keep updates coming until the test ends."""
    made = Updates(topics)
    for _ in range(RECORDS):
        made.write()
    topics.flush()
    with made:
        yield
    topics.flush()


def prefix(messages: list[Message], offsets: Mapping[int, int]) -> dict[bytes, tuple[int, int, bytes]]:
    """Return what a store with these offsets must hold: user -> partition, offset, body."""
    held: dict[bytes, tuple[int, int, bytes]] = {}
    for message in messages:
        partition, offset, value = message.partition(), message.offset(), message.value()
        if offset >= offsets.get(partition, 0):
            continue
        if value is None:
            held.pop(message.key(), None)
        else:
            held[message.key()] = partition, offset, value
    return held


@pytest.mark.usefixtures("updates")
def test_after_any_kill_the_store_is_what_its_offsets_claim(topics: Topics, reader: Reader) -> None:
    """Every other time it begins with nothing; the others it continues, so that both are killed halfway."""
    chance = random.Random(7)
    folder = reader.folder
    torn_replays = 0
    for number in range(KILLS):
        if number % 2 == 0:
            shutil.rmtree(folder, ignore_errors=True)
        data = folder / "copy-1" / "data.mdb"
        reader.start()
        wait_for(data.exists, 60)
        if number % 2 == 1:
            reader.await_state("ready", 60)
        time.sleep(chance.uniform(0.0, 1.5))  # the moment is what is tried, not waited for
        reader.kill()
        store = Store(folder / "copy-1", read_only=True)
        offsets = store.offsets()
        held = {record.key: (record.partition, record.offset, record.value) for record in store.records()}
        torn_replays += bool(offsets) and not store.complete
        store.close()
        topics.flush()
        assert held == prefix(topics.messages("user-info"), offsets)
    assert torn_replays or KILLS < LONG_RUN, "none was killed in its first replay; the moments are badly chosen"
    print(f"{KILLS} kills, {torn_replays} of them in a replay")  # noqa: T201 - what a long run is for
