"""One read transaction of LMDB, as the read view that the rest of the reader sees."""

from collections.abc import Callable
from typing import Any

import lmdb

from reader.storage.metadata import MISPLACED, OFFSET, SHAPE, CopiedTopic
from reader.storage.read_view import StoredRecord
from reader.storage.records import HEADER


class StoreReadView:
    """The store as it was when the transaction began; only the thread that began it uses it.

    Args:
        transaction: open, on the records.
        metadata: the database that holds the offsets.
        topic: what this is a copy of; None where that is not known yet.
    """

    def __init__(self, transaction: lmdb.Transaction, metadata: Any, topic: CopiedTopic | None) -> None:  # noqa: ANN401 - LMDB's own type
        self._get: Callable[..., Any] = transaction.get
        self._transaction = transaction
        self._metadata = metadata
        self._share = None if topic is None else topic.share
        self.tag = b"" if topic is None else topic.tag
        self.share = None if self._share is None or self._share.shard is None else self._share

    @property
    def partitions(self) -> int | None:
        """How many partitions CRC-32 places keys in; read only when asked for, since a record found needs it not."""
        if self._get(MISPLACED, db=self._metadata) is not None:
            return None
        return None if self._share is None else self._share.partitions

    @property
    def shape(self) -> bytes | None:
        """The shape of the records, as the topic says it; None where it says none."""
        stored = self._get(SHAPE, db=self._metadata)
        return None if stored is None else bytes(stored)

    def find(self, key: bytes) -> StoredRecord | None:
        """Return a key's record; None if there is none."""
        stored = self._get(key)
        if stored is None:
            return None
        partition, offset, timestamp_ms = HEADER.unpack_from(stored)
        return StoredRecord(partition, offset, timestamp_ms, stored[HEADER.size :])

    def position(self, partition: int) -> int | None:
        """Return the next offset to read of a partition; None if nothing was read of it."""
        stored = self._get(OFFSET % partition, db=self._metadata)
        return None if stored is None else int(stored)

    def close(self) -> None:
        """End the transaction."""
        self._transaction.abort()
