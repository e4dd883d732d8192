"""Reads the newest rows of a topic, to see what they carry. Bounded, whatever the topic holds."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from confluent_kafka.admin import AdminClient

from joiner.core.records import PartitionId
from joiner.core.rows import read_document
from joiner.kafka.offsets import read_extents
from joiner.kafka.scan import scan

if TYPE_CHECKING:
    from joiner.core.avro import AvroDecoder

NEWEST = 200
"""How many records are read of each partition, deletions included."""

LAST = 20
"""How many offsets at the end of a partition are looked at for its newest document; some are markers or deletions."""


def read_newest_documents(
    admin: AdminClient,
    client: Mapping[str, str],
    partition_ids: Iterable[PartitionId],
    avro: "AvroDecoder | None" = None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (timestamp in epoch ms, document) of the newest records of partitions; what is no document is left out.

    Args:
        admin: a client of the cluster.
        client: where Kafka is and how to reach it, as librdkafka's properties.
        partition_ids: the partitions.
        avro: reads Avro; None: no schema registry is known.

    Raises:
        RegistryAway: a schema cannot be had yet.
        Interrupted: Kafka does not answer.
        KafkaException: Kafka refuses.
    """
    start: dict[str, dict[int, int]] = {}
    for (topic, partition), extent in read_extents(admin, partition_ids).items():
        if extent.high > extent.low:
            start.setdefault(topic, {})[partition] = max(extent.low, extent.high - LAST)
    for topic, offsets in start.items():
        for message in scan(client, topic, offsets, offsets):
            document = read_document(message.value() or b"", avro)
            if document:
                yield message.timestamp()[1], document


def read_newest_rows(  # noqa: PLR0913 - where they are, and how they are read
    admin: AdminClient,
    client: Mapping[str, str],
    topic: str,
    partitions: int,
    key: str,
    *,
    avro: "AvroDecoder | None" = None,
) -> Iterator[dict[str, Any]]:
    """Yield rows of a topic's newest records; what no row can be read from is left out.

    Args:
        admin: a client of the cluster.
        client: where Kafka is and how to reach it, as librdkafka's properties.
        topic: the topic, which exists.
        partitions: how many it has.
        key: a column of the primary key, which tells a row that has a column `op` from an envelope.
        avro: reads Avro; None: no schema registry is known.

    Raises:
        RegistryAway: a schema cannot be had yet.
        Interrupted: Kafka does not answer.
        KafkaException: Kafka refuses.
    """
    extents = read_extents(admin, [(topic, partition) for partition in range(partitions)])
    start = {partition: max(extent.low, extent.high - NEWEST) for (_, partition), extent in extents.items()}
    for message in scan(client, topic, start, start):
        row: Any = read_document(message.value() or b"", avro)
        if row and key not in row and "op" in row:
            row = row.get("after") or row.get("before")
        if row and isinstance(row, dict):
            yield row
