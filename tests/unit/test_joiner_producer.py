"""Writing records outside the engine: each is acknowledged, or the caller hears of it."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from joiner.kafka.producer import NewRecord, open_producer, write_all
from shared.errors import Interrupted, TopicError


class Broker:
    """A fake of confluent_kafka's producer: acknowledges records at offset 0, 1, …, or refuses every one.

    Args:
        error: given for each record; None acknowledges it.
        unanswered: how many records stay without an answer.
    """

    def __init__(self, error: KafkaError | None = None, unanswered: int = 0) -> None:
        self.error = error
        self.unanswered = unanswered
        self.produced: list[tuple[object, ...]] = []

    def produce(
        self, topic: str, value: object, key: object, partition: int, on_delivery: Callable[[object, Any], None]
    ) -> None:
        """Answer at once."""
        offset = len(self.produced)
        message = SimpleNamespace(partition=lambda: max(partition, 0), offset=lambda: offset)
        self.produced.append((topic, key, value, partition))
        on_delivery(self.error, message)

    def poll(self, _: float) -> int:
        """Have nothing to call back."""
        return 0

    def flush(self, _: float) -> int:
        """Return how many are left without an answer."""
        return self.unanswered


def test_every_record_is_written_in_order_where_it_is_to_go() -> None:
    """Without a partition the client chooses; what comes back is where each came to lie."""
    broker: Any = Broker()
    records = [NewRecord(b"a", b"1", 3), NewRecord(b"b", None)]
    assert {(3, 0), (0, 1)} == write_all(broker, "t", records)
    assert [("t", b"a", b"1", 3), ("t", b"b", None, -1)] == broker.produced


def test_a_record_that_is_refused_is_an_error_that_names_the_topic_and_the_reason() -> None:
    """The caller continues from what it knows to be committed."""
    broker: Any = Broker(KafkaError(KafkaError.NOT_ENOUGH_REPLICAS, "too few"))
    with pytest.raises(Interrupted, match=r"cannot write to the topic t: .*too few"):
        write_all(broker, "t", [NewRecord(b"a", b"1")])


def test_a_record_that_will_always_be_refused_is_an_error_of_its_topic() -> None:
    """Whoever would try again is told that it is of no use, even where other records got no answer."""
    broker: Any = Broker(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "too large"), unanswered=1)
    with pytest.raises(TopicError, match="the topic t refuses a record, and would again: too large") as refused:
        write_all(broker, "t", [NewRecord(b"a", b"1")])
    assert "set max.message.bytes=" in refused.value.hint


def test_no_answer_is_an_error() -> None:
    """What is not acknowledged may be lost."""
    broker: Any = Broker(unanswered=1)
    with pytest.raises(Interrupted, match="cannot write to the topic t: Kafka does not answer"):
        write_all(broker, "t", [NewRecord(b"a", b"1")])


def test_the_client_library_accepts_every_property_that_is_set() -> None:
    """Java's partitioner included, and what the environment adds; nothing is connected."""
    client = {"bootstrap.servers": "127.0.0.1:1", "client.id": "me", "log_level": "0"}
    open_producer(client)
    open_producer({**client, "linger.ms": "7"}, linger_ms=5, partitioner="murmur2_random")
