"""Joiner and reader on any Kafka, with rows that some other program wrote: no PostgreSQL, no Debezium."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from stack.servers.kafka import Kafka
from tests.support.http_client import get
from tests.support.joiners import Joiner
from tests.support.readers import Reader
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[str]:
    """Give the address of a Kafka of this test's own, since the topics have their default names."""
    with Kafka(tmp_path / "kafka") as started:
        yield started.bootstrap_servers


def test_flat_rows_under_text_keys_are_enough(kafka: str, tmp_path: Path) -> None:
    """Given nothing but KAFKA_BOOTSTRAP_SERVERS, a folder and a port each, the two tiers answer."""
    # 1. Some program makes four compacted topics, and writes rows as flat JSON under their primary keys.
    admin = AdminClient({"bootstrap.servers": kafka})
    names = ("users", "tweets", "follows", "likes")
    wanted = [NewTopic(name, 2, 1, config={"cleanup.policy": "compact"}) for name in names]
    for created in admin.create_topics(wanted).values():
        created.result()
    producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})

    def write(topic: str, key: str, row: dict[str, object] | None) -> None:
        producer.produce(topic, None if row is None else json.dumps(row), key)
        assert 0 == producer.flush(30)

    write("users", "1", {"user_id": 1, "username": "alice"})
    write("likes", "700", {"like_id": 700, "user_id": 1, "tweet_id": 70})

    # 2. The two tiers are started.
    address = {"KAFKA_BOOTSTRAP_SERVERS": kafka}
    with Joiner(address, tmp_path / "joiner", JOINER_HTTP_PORT="0"), Reader(address, tmp_path / "reader") as reader:
        alice = f"{reader.url}/users/1"

        # 3. Alice is answered with her like, and without it once its row is gone.
        wait_for(lambda: likes_of(alice) == 1, 60, "alice with her like")
        write("likes", "700", None)
        wait_for(lambda: likes_of(alice) == 0, 60, "alice without it")

        # 4. Her row goes too, and so does she.
        write("users", "1", None)
        wait_for(lambda: get(alice).status_code == httpx.codes.NOT_FOUND, 60, "no alice")


def likes_of(address: str) -> int | None:
    """Return the count that is answered; nothing while there is no answer."""
    try:
        answer = get(address)
    except httpx.TransportError:
        return None
    likes: int | None = answer.json().get("likeCount")
    return likes
