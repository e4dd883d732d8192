"""Properties of the joiner's Kafka clients, and why each is as it is. Imports no client library."""

from collections.abc import Callable, Mapping

from joiner.settings import JoinerSettings
from shared.kafka import COMMON, admitted, understood
from shared.topics import MAX_MESSAGE_BYTES, PARTITIONER

SESSION_MS = 6_000
"""The lowest that a broker takes by default: how soon a killed joiner is noticed, where nobody starts it again."""

TRANSACTION_MS = 6_000
"""How long a transaction that a killed joiner left open keeps its heir waiting. It begins with the first record that a
checkpoint writes, at its end, so it covers one commit and not the time between two."""


def properties(settings: JoinerSettings, client: Callable[[dict[str, object]], object]) -> dict[str, str]:
    """Return the properties that the environment sets and Kafka lets us in with.

    Args:
        settings: what the joiner is told.
        client: confluent_kafka's AdminClient.

    Raises:
        SettingError: a property's value is refused by the client library.
        KafkaError: Kafka refuses us.
    """
    return admitted(settings.kafka_bootstrap_servers, understood(settings.kafka_properties, client), client)


def client(settings: JoinerSettings, properties: Mapping[str, str]) -> dict[str, str]:
    """Return what every client needs: where Kafka is, and what the environment sets."""
    return {"bootstrap.servers": settings.kafka_bootstrap_servers, **properties}


def consumer(settings: JoinerSettings, properties: Mapping[str, str]) -> dict[str, object]:
    """Return the properties of the consumer that the join reads with; the environment's come before ours.

    Those that exactness rests on are not among the environment's: `shared.kafka` refuses them.
    """
    return {
        **COMMON,
        "isolation.level": "read_committed",
        # Static membership: one that is started again within its session takes its partitions back at once.
        "group.instance.id": settings.transactional_id,
        "session.timeout.ms": SESSION_MS,
        # The others learn of it with their next one.
        "heartbeat.interval.ms": 500,
        # Where a partition ends is told too: beyond the markers of transactions, which no record stands for.
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
        "topic.metadata.refresh.interval.ms": 30_000,
        "max.partition.fetch.bytes": MAX_MESSAGE_BYTES,
        "fetch.wait.max.ms": 20,
        # What is fetched ahead, for all partitions together: memory stays bounded however long the backlog. An answer
        # is compressed, so a large one becomes several times as large here. And a queue that was full is looked after
        # again soon, not after a second in which the loop may have emptied it.
        "fetch.max.bytes": MAX_MESSAGE_BYTES,
        "fetch.queue.backoff.ms": 20,
        "queued.max.messages.kbytes": 12 * 1024,
        **properties,
    }


def producer(settings: JoinerSettings, properties: Mapping[str, str]) -> dict[str, object]:
    """Return the properties of the transactional producer; the environment's come before ours, as above."""
    return {
        **COMMON,
        "compression.type": "lz4",
        "linger.ms": 5,
        "queue.buffering.max.messages": 500_000,
        "enable.idempotence": True,
        "partitioner": PARTITIONER,
        "transactional.id": settings.transactional_id,
        "transaction.timeout.ms": TRANSACTION_MS,
        **properties,
    }
