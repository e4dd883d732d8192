"""A store in memory, for what reads one."""

from collections.abc import Mapping
from dataclasses import dataclass

from reader.storage.read_view import StoredRecord
from shared.shards import Share


@dataclass
class DictReadView:
    """A read view over plain dictionaries.

    Args:
        records: key -> record.
        positions: partition -> next offset to read; None: the one after the partition's newest record.
        tag: of the topic.
        partitions: of the topic; None: not known.
        share: the part of the topic that it holds; None: all.
        shape: of the records, as the topic says it.
        closed: whether it was closed, which happens once.
    """

    records: Mapping[bytes, StoredRecord]
    positions: Mapping[int, int] | None = None
    tag: bytes = b"0badcafe"
    partitions: int | None = None
    shape: bytes | None = None
    share: Share | None = None
    closed: bool = False

    def find(self, key: bytes) -> StoredRecord | None:
        """Return a key's record."""
        assert 0 < len(key) <= 511, "LMDB takes no such key"
        return self.records.get(key)

    def position(self, partition: int) -> int | None:
        """Return a partition's next offset to read."""
        if self.positions is not None:
            return self.positions.get(partition)
        offsets = [found.offset + 1 for found in self.records.values() if found.partition == partition]
        return max(offsets, default=None)

    def close(self) -> None:
        """Note that it was closed."""
        assert not self.closed
        self.closed = True
