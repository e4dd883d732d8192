"""What a store holds next to the records: the topic's offsets, heartbeats, marks and shape, and notes about the copy.

Their names in LMDB are known here alone.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import lmdb

from shared.builds import BUILD_PREFIX, BuildMark, parse_mark
from shared.heartbeats import Heartbeat, parse_heartbeat
from shared.shape import SHAPE_KEY
from shared.shards import Shard, Share

OFFSET = b"offset/%d"
OFFSETS = b"offset/"
HEARTBEAT = b"heartbeat/%d/"
HEARTBEATS = b"heartbeat/"
MARK = b"build/%d/"
MARKS = b"build/"
SHAPE = b"shape"
NOTE = b"note/"
MISPLACED = NOTE + b"misplaced"

Part = TypeVar("Part")


class CopiedTopic(NamedTuple):
    """What a copy is a copy of, as its identity says.

    Args:
        tag: names the topic, alike in the copies of all its shards: offsets of one tag may be compared.
        share: the part of it.
    """

    tag: bytes
    share: Share


def read_topic(identity: Mapping[str, Any] | None) -> CopiedTopic | None:
    """Return what a copy is a copy of.

    Args:
        identity: as it is noted next to the data; None if there is no data yet.
    """
    if identity is None:
        return None
    whole = {fact: value for fact, value in identity.items() if fact != "shard"}
    shard = identity.get("shard")
    tag = b"%08x" % zlib.crc32(json.dumps(whole).encode())
    return CopiedTopic(tag, Share(identity["partitions"], None if shard is None else Shard.parse(shard)))


class StoreMetadata:
    """The LMDB database that holds them. Each method works in a transaction of the caller's.

    Args:
        database: LMDB's handle of it.
    """

    def __init__(self, database: Any) -> None:  # noqa: ANN401 - LMDB's own type
        self._database = database

    def read_offset(self, transaction: lmdb.Transaction, partition: int) -> int:
        """Return the next offset to read of a partition; 0 if nothing was read of it."""
        return int(transaction.get(OFFSET % partition, b"0", db=self._database))

    def write_offset(self, transaction: lmdb.Transaction, partition: int, offset: int) -> None:
        """Replace the next offset to read of a partition."""
        transaction.put(OFFSET % partition, b"%d" % offset, db=self._database)

    def read_offsets(self, transaction: lmdb.Transaction) -> dict[int, int]:
        """Return partition -> the next offset to read, for every partition of which something was read."""
        return {int(name): int(value) for name, value in self._scan_prefix(transaction, OFFSETS)}

    def write_reserved(self, transaction: lmdb.Transaction, partition: int, key: bytes, value: bytes) -> None:
        """Store a part's newest heartbeat or mark, or the shape, by its record's key and value.

        All partitions end with the same shape, so the one that was applied last is the topic's.
        """
        if key == SHAPE_KEY:
            name = SHAPE
        elif key.startswith(BUILD_PREFIX):
            self._forget_former_parts(transaction, MARK % partition, key)
            name = MARK % partition + key
        else:
            name = HEARTBEAT % partition + key
        transaction.put(name, value, db=self._database)

    def _forget_former_parts(self, transaction: lmdb.Transaction, prefix: bytes, key: bytes) -> None:
        """Delete marks of another number of parts than a new one: the internal topic was created again."""
        parts = key[key.rindex(b"/") :]
        former = [other for other, _ in self._scan_prefix(transaction, prefix) if not other.endswith(parts)]
        for other in former:
            transaction.delete(prefix + other, db=self._database)

    def read_marks(self, transaction: lmdb.Transaction) -> list[tuple[int, BuildMark]]:
        """Return the newest marks, each with its partition."""
        return list(self._scan_parts(transaction, MARKS, parse_mark))

    def read_heartbeats(self, transaction: lmdb.Transaction) -> list[tuple[int, Heartbeat]]:
        """Return the newest heartbeats, each with its partition, the oldest of them first."""
        return sorted(self._scan_parts(transaction, HEARTBEATS, parse_heartbeat), key=lambda pair: pair[1].time_ms)

    def read_note(self, transaction: lmdb.Transaction, name: str) -> Any:  # noqa: ANN401 - whatever JSON was noted
        """Return what was noted under a name; None if nothing was."""
        value = transaction.get(NOTE + name.encode(), db=self._database)
        return None if value is None else json.loads(bytes(value))

    def write_notes(self, transaction: lmdb.Transaction, notes: Mapping[str, object]) -> None:
        """Replace notes: names and values that JSON can hold."""
        for name, value in notes.items():
            transaction.put(NOTE + name.encode(), json.dumps(value).encode(), db=self._database)

    def _scan_parts(
        self, transaction: lmdb.Transaction, prefix: bytes, parse: Callable[[bytes, bytes], Part | None]
    ) -> Iterator[tuple[int, Part]]:
        """Return what is stored of each part, each with its partition."""
        for name, value in self._scan_prefix(transaction, prefix):
            partition, _, key = name.partition(b"/")
            found = parse(key, value)
            if found is not None:
                yield int(partition), found

    def _scan_prefix(self, transaction: lmdb.Transaction, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Return what is stored under names that begin with a prefix, without that prefix."""
        with transaction.cursor(self._database) as cursor:
            if cursor.set_range(prefix):
                for name, value in cursor:
                    if not bytes(name).startswith(prefix):
                        break
                    yield bytes(name).removeprefix(prefix), bytes(value)
