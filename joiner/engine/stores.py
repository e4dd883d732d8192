"""What is done to the inside of the engine, and why; nowhere else is anything of it touched.

Tried with quixstreams 3.28.1; tests/unit/test_engine.py fails when an upgrade changes what is used here:

- `PartitionTransaction._partition.get_or_create_column_family(...)` gives the RocksDB column family, and
  `_update_cache` the pending writes. The public get and set cost ten times what they do, and here each key is read
  once, before it is written, and written once a checkpoint.
- `PartitionTransaction._prepare` writes the changelog. The engine's own asks for a delivery report per record and polls
  after each; under exactly-once a lost record fails the commit anyway, so here only the last record of a partition
  reports, for the offset that the store remembers.
- `InternalProducer._producer._producer` is librdkafka's producer itself.
- `StateStoreManager.on_partition_assign` is wrapped. The engine leaves out changelog records that are ahead of the
  group's committed offsets; under exactly-once there are none, but offsets that were lost with their group would make
  it leave out everything. And it goes on from whatever is on disk, which may be older than the changelog remembers.

Imports nothing of the engine: it is handed in.
"""

import logging
from collections.abc import Mapping
from typing import Any

import orjson

from joiner.core.checkpoint import Store

logger = logging.getLogger(__name__)

COLUMN_FAMILY = "default"
COLUMN_FAMILY_HEADER = "__column_family__"
OFFSETS_HEADER = "__processed_tp_offsets__"

MARKERS = 2
"""Offsets that the end of a transaction may take behind the last record."""

POLL_EVERY = 1_000
"""Records between two polls for delivery reports."""


class PartitionStore(Store):
    """The engine's store of one partition for the length of one checkpoint: each key read once, then written once."""

    def __init__(self, transaction: Any) -> None:  # noqa: ANN401 - the inside of the engine has no types
        self._rows = transaction._partition.get_or_create_column_family(COLUMN_FAMILY)  # noqa: SLF001
        self._cache = transaction._update_cache  # noqa: SLF001
        self._updated: dict[bytes, bytes] = self._cache._updated[COLUMN_FAMILY][b""]  # noqa: SLF001
        self._deleted: set[bytes] = self._cache._deleted[COLUMN_FAMILY]  # noqa: SLF001
        self._changelog = transaction._changelog_producer  # noqa: SLF001
        transaction._prepare = self._write_changelog  # noqa: SLF001

    def get(self, key: bytes) -> bytes | None:
        """Return what was stored under a key when the checkpoint began."""
        value: bytes | None = self._rows.get(key)
        return value

    def set(self, key: bytes, value: bytes | None) -> None:
        """Store a value when the checkpoint commits, or with None forget the key."""
        if value is None:
            self._deleted.add(key)
        else:
            self._updated[key] = value
        self._cache._empty = False  # noqa: SLF001

    def close(self) -> None:
        """Let go of the column family, which keeps the store's lock as long as anybody holds it."""
        self._rows = None

    def _write_changelog(self, processed_offsets: Mapping[str, int] | None) -> None:
        internal = self._changelog._producer  # noqa: SLF001
        headers = [(COLUMN_FAMILY_HEADER, COLUMN_FAMILY), (OFFSETS_HEADER, orjson.dumps(processed_offsets))]
        send = RecordSender(internal, self._changelog.changelog_name, self._changelog.partition, headers)
        last = len(self._updated) + len(self._deleted)
        for number, (key, value) in enumerate(self._updated.items(), 1):
            send(key, value, report=number == last)
        for number, key in enumerate(self._deleted, len(self._updated) + 1):
            send(key, None, report=number == last)


class RecordSender:
    """Sends records of one topic through the engine's producer, inside its open transaction.

    Args:
        internal: the engine's InternalProducer.
        topic: where the records go.
        partition: and to which partition; None lets the producer's partitioner choose by key.
        headers: what every record carries.
    """

    def __init__(self, internal: Any, topic: str, partition: int | None = None, headers: Any = None) -> None:  # noqa: ANN401
        self._producer = internal._producer._producer  # noqa: SLF001
        self._on_delivery = internal._on_delivery  # noqa: SLF001
        self._topic = topic
        self._place: dict[str, Any] = {} if partition is None else {"partition": partition}
        if headers is not None:
            self._place["headers"] = headers
        self.sent = 0

    def __call__(self, key: bytes, value: bytes | None, *, report: bool = False, **more: object) -> None:
        """Send a record.

        Args:
            key: the record's key.
            value: the record's value; None is a tombstone.
            report: have the engine note the offset that the record gets.
            more: further arguments of librdkafka's produce, such as timestamp.
        """
        if report:
            more["on_delivery"] = self._on_delivery
        while True:
            try:
                self._producer.produce(self._topic, value, key, **self._place, **more)
                break
            except BufferError:
                # librdkafka's queue is full: what the broker takes makes room.
                self._producer.poll(0.05)
        self.sent += 1
        if self.sent % POLL_EVERY == 0:
            self._producer.poll(0)


def restore_exactly(
    state_manager: Any,  # noqa: ANN401
    oldest_trusted: Mapping[tuple[str, int], int],
    changelogs: Mapping[str, str],
) -> None:
    """Have stores restored from all that their changelogs hold, and from the beginning where disk is too old.

    Args:
        state_manager: the engine's StateStoreManager.
        oldest_trusted: (changelog, partition) -> the offset up to which a local store must have come; up to there the
            changelog may have forgotten deletions. Filled anew before partitions are assigned.
        changelogs: topic of a store -> its changelog.
    """
    assign = state_manager.on_partition_assign

    def on_partition_assign(stream_id: str, partition: int, committed_offsets: object) -> Any:  # noqa: ANN401, ARG001
        changelog = changelogs.get(stream_id)
        if changelog is not None:
            offset = state_manager.get_store(stream_id).assign_partition(partition).get_changelog_offset()
            # An offset or two beyond the last record are taken by the markers that end transactions.
            if offset is not None and offset + MARKERS < oldest_trusted.get((changelog, partition), 0):
                logger.warning("the local state of %s[%d] is too old to go on with; restoring it", stream_id, partition)
                state_manager.destroy_partition_state(stream_id, partition)
        return assign(stream_id, partition, _Everything())

    state_manager.on_partition_assign = on_partition_assign


class _Everything(dict[str, int]):
    """Committed offsets that nothing is ahead of."""

    def __missing__(self, topic: str) -> int:
        return 2**63 - 1
