"""Reads a topic once from its beginning to its end: no group, no commits, committed records only."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from shared.errors import Interrupted
from shared.kafka import build_config, is_end_of_partition

logger = logging.getLogger(__name__)

BATCH = 1_000
POLL_SECONDS = 0.05

END_MS = 10
"""How long brokers hold back an answer without records, which is how a client learns of an end: 500 ms by default."""

METADATA_SECONDS = 5.0

PATIENCE_SECONDS = 30.0
"""How long nothing may arrive, neither a record nor an end: electing a partition's leader takes seconds."""


def scan(
    client: Mapping[str, str], topic: str, partitions: Iterable[int], start: Mapping[int, int] | None = None
) -> Iterator[Message]:
    """Yield a topic's committed records, in order within each partition, until each partition's end is reached.

    Args:
        client: where Kafka is and how to reach it, as librdkafka's properties.
        topic: the topic's name.
        partitions: which of its partitions.
        start: partition -> the first offset to read; partitions that are not named are read from the beginning.

    Raises:
        Interrupted: Kafka does not answer for PATIENCE_SECONDS.
        KafkaException: Kafka refuses.
    """
    own = {
        "group.id": "user-info-joiner-scan",  # librdkafka requires one; the group is never joined
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
    }
    preferred = {"queued.max.messages.kbytes": 8 * 1024, "fetch.wait.max.ms": END_MS}
    consumer = Consumer(build_config(client, preferred, own), logger=logger)
    try:
        # Else the client looks for leaders half a second later. Whether Kafka answers is decided below.
        with suppress(KafkaException):
            consumer.list_topics(topic, timeout=METADATA_SECONDS)
        unread = set(partitions)
        first = {partition: (start or {}).get(partition, OFFSET_BEGINNING) for partition in sorted(unread)}
        consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in first.items()])
        deadline = time.monotonic() + PATIENCE_SECONDS
        while unread:
            messages = consumer.consume(BATCH, POLL_SECONDS)
            if messages:
                deadline = time.monotonic() + PATIENCE_SECONDS
            elif time.monotonic() > deadline:
                raise Interrupted(f"Kafka sends neither records nor the end of the topic {topic}")
            for message in messages:
                error = message.error()
                if error is None:
                    if message.partition() in unread:
                        yield message
                elif is_end_of_partition(message):
                    unread.discard(message.partition())
                    consumer.incremental_unassign([TopicPartition(topic, message.partition())])
                elif not error.retriable():
                    raise KafkaException(error)
    finally:
        consumer.close()
