"""Writes records outside the engine's transactions: Kafka keeps all of them, or an error says why not."""

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from joiner.kafka.refusals import REFUSALS, refusal_of
from shared.errors import Interrupted
from shared.kafka import build_config

FLUSH_SECONDS = 30.0
"""How long Kafka may take to acknowledge what is written; a partition whose leader changes needs seconds."""

logger = logging.getLogger(__name__)


class NewRecord(NamedTuple):
    """One record to write.

    Args:
        key: the record's key.
        value: the record's value; None writes a tombstone.
        partition: where it is written; None lets the client's partitioner choose.
    """

    key: bytes | None
    value: bytes | None
    partition: int | None = None


def open_producer(client: Mapping[str, str], linger_ms: int = 0, partitioner: str | None = None) -> Producer:
    """Return an idempotent producer, without a transaction.

    Args:
        client: where Kafka is and how to reach it, as librdkafka's properties.
        linger_ms: how long a record waits for others, whatever the environment says: what is written here is either
            waited for, or a heartbeat, whose age readers report.
        partitioner: librdkafka's name for how keys choose partitions; None: its default.
    """
    own: dict[str, object] = {"enable.idempotence": True}
    if partitioner is not None:
        own["partitioner"] = partitioner
    return Producer({**build_config(client, {}, own), "linger.ms": linger_ms}, logger=logger)


def write_all(producer: Producer, topic: str, records: Iterable[NewRecord]) -> set[tuple[int, int]]:
    """Write records, and wait until Kafka has acknowledged each.

    Args:
        producer: as `open_producer` returns it.
        topic: where they are written.
        records: written in this order.

    Returns:
        The partition and the offset of each record.

    Raises:
        Interrupted: Kafka refused a record or did not answer in time; others may have been written.
        TopicError: the topic will always refuse it.
    """
    written: set[tuple[int, int]] = set()
    failures: list[KafkaError] = []

    def note(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failures.append(error)
        else:
            written.add((message.partition(), message.offset()))

    for record in records:
        partition = -1 if record.partition is None else record.partition
        producer.produce(topic, record.value, record.key, partition=partition, on_delivery=note)
        producer.poll(0)
    unanswered = producer.flush(FLUSH_SECONDS)
    for failure in failures:
        if failure.name() in REFUSALS:
            raise refusal_of(topic, failure)
    if unanswered or failures:
        raise Interrupted(f"cannot write to the topic {topic}: {failures[0] if failures else 'Kafka does not answer'}")
    return written
