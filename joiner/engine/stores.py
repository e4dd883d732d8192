"""The RocksDB stores as one checkpoint uses them: each key is read once, then written once.

Quix's public `get` and `set` cost ten times what they do: they serialize, look for pending writes and expired values,
and here none of that can be. Its changelog writer asks for a delivery report per record and polls after each; here only
a partition's last record reports, for the offset that the store remembers. What is stored is joiner.core's business.
"""

from collections.abc import Mapping
from typing import Any
from weakref import WeakSet

import orjson
from quixstreams.state import PartitionTransaction

from joiner.core.partition_work import Store
from joiner.engine.producer import RecordSender
from joiner.engine.quix_internals import (
    COLUMN_FAMILY,
    cache_of,
    mark_changed,
    pending_writes,
    producer_of,
    replace_changelog_writer,
    rows_of,
)
from shared.records import RESERVED_KEY_PREFIX

COLUMN_FAMILY_HEADER = "__column_family__"
OFFSETS_HEADER = "__processed_tp_offsets__"


class PartitionStore(Store):
    """Quix's store of one partition for the length of one checkpoint.

    Read and written by the thread that holds the checkpoint: the loop's, or the one that closes it in a rebalance.
    Closed by the loop's alone.

    Args:
        transaction: Quix's, on that partition.
    """

    def __init__(self, transaction: PartitionTransaction[Any, Any]) -> None:
        # Not the transaction itself, which refers to this store: only the collector of cycles would free them then.
        self._cache = cache_of(transaction)
        self._changelog = transaction.changelog_producer
        self._rows: Any = rows_of(transaction)
        self._updated, self._deleted = pending_writes(self._cache)
        self._changed = False
        replace_changelog_writer(transaction, self._write_changelog)

    def get(self, key: bytes) -> bytes | None:
        """Return what was stored under a key when the checkpoint began."""
        value: bytes | None = self._rows.get(key)
        return value

    def read_behind(self, key: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return what was stored under the ids behind a key when the checkpoint began, in their order, so many."""
        found: list[tuple[bytes, bytes]] = []
        for each, value in self._rows.items(from_key=key):
            if len(found) == limit or each.startswith(RESERVED_KEY_PREFIX):
                break
            if each != key:
                found.append((each, value))
        return found

    def set(self, key: bytes, value: bytes | None) -> None:
        """Store a value when the checkpoint commits, or with None forget the key."""
        if value is None:
            self._deleted.add(key)
        else:
            self._updated[key] = value
        if not self._changed:
            self._changed = True
            mark_changed(self._cache)

    def close(self) -> None:
        """Let go of the column family, which keeps the lock of the store's folder as long as anything refers to it."""
        self._rows = None

    def _write_changelog(self, processed_offsets: Mapping[str, int] | None) -> None:
        changelog: Any = self._changelog  # every store of the joiner has one
        headers = [(COLUMN_FAMILY_HEADER, COLUMN_FAMILY), (OFFSETS_HEADER, orjson.dumps(processed_offsets))]
        send = RecordSender(producer_of(changelog), changelog.changelog_name, changelog.partition, headers)
        # The last key that was set comes last: where it is stored, all others are.
        last = next(reversed(self._updated), None)
        for key, value in self._updated.items():
            if key is not last:
                send(key, value)
        for number, key in enumerate(self._deleted, 1):
            send(key, None, report=last is None and number == len(self._deleted))
        if last is not None:
            send(last, self._updated[last], report=True)


class OpenStores:
    """Every store that something still refers to, so that all can be closed when their partitions are released.

    Used by the loop's thread alone.
    """

    def __init__(self) -> None:
        self._stores: WeakSet[PartitionStore] = WeakSet()

    def add(self, store: PartitionStore) -> None:
        """Remember a store for as long as anything else refers to it."""
        self._stores.add(store)

    def close(self) -> None:
        """Close all of them: their partitions may be assigned again at once, here or elsewhere.

        Explicitly: the application is kept until the process ends, Quix keeps checkpoints and errors, and errors keep
        the frames that they passed, with everything that was open there.
        """
        for store in list(self._stores):
            store.close()
