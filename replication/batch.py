"""What one read of the topic returned, sorted into records, reserved ones and the rest. Pure."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from replication.records import Record
from shared.heartbeats import Heartbeat


class HeartbeatRecord(NamedTuple):
    """A heartbeat, and the record that it was read from: the copy stores its bytes as they are."""

    heartbeat: Heartbeat
    record: Record


class Batch(NamedTuple):
    """What one read returned.

    Args:
        records: those with a valid id, in the topic's order within each partition.
        offsets: partition -> the next offset, behind records that are skipped and markers of transactions.
        ended: the partitions whose end was reached, with nothing after it.
        skipped: how many keys were not ids.
        broken: why nothing more can be read from these offsets; None if it can.
        heartbeats: those of the reserved records; they are not among `records`.
        shapes: the reserved records that say the shape of the others.
        oldest_ms: for each of `records`, if that was asked for, the source time of the oldest change that it shows
            for the first time; None if it does not say.
        marks: the reserved records that say how far a build is.
    """

    records: list[Record]
    offsets: dict[int, int]
    ended: set[int]
    skipped: int = 0
    broken: str | None = None
    heartbeats: Sequence[HeartbeatRecord] = ()
    shapes: Sequence[Record] = ()
    oldest_ms: Sequence[int | None] = ()
    marks: Sequence[Record] = ()


class BatchReader(Protocol):
    """Reads the topic: see `replication.kafka.topic_reader`."""

    def read_batch(self, limit: int, seconds: float, *, timed: bool = False) -> Batch:
        """Return what has arrived. KafkaError: the client cannot read any more."""
