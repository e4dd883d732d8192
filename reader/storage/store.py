"""The local copy of the topic, in LMDB. The only module that knows LMDB.

Guarantees: a batch's records and the offsets that follow it are one transaction, so that whatever ends the process, the
store holds exactly the topic's prefix that its offsets claim. Knows nothing of Kafka and HTTP.

Commits are not synced one by one: a killed process loses nothing by that, since the kernel has the pages, and a sync in
the middle of traffic costs tens of milliseconds. `sync` is called every few seconds instead. What a power cut leaves
could be torn where LMDB does not see it, so a store that was open when the machine went down is never opened again: the
folder remembers the boot it was opened in (see reader.storage.generations), and the topic is replayed.
"""

import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import lmdb

from reader.storage.data_file import find_damage
from reader.storage.read_view import StoredRecord
from shared.errors import StateError
from shared.heartbeats import Heartbeat, parse_heartbeat

FORMAT = 1
"""Version of what is written here; another one is not read but built anew."""

DATA, LOCK = "data.mdb", "lock.mdb"
"""LMDB's own names of its two files."""

FIRST_MAP_BYTES = 1 << 30
MAX_READERS = 512
HEADER = struct.Struct(">IQq")
"""Before each body: the record's partition, offset and timestamp in epoch ms."""

OFFSET = b"offset/%d"
HEARTBEAT = b"heartbeat/%d/"


DAMAGE = (
    lmdb.BadDbiError,
    lmdb.CorruptedError,
    lmdb.IncompatibleError,
    lmdb.InvalidError,
    lmdb.NotFoundError,
    lmdb.PageNotFoundError,
    lmdb.VersionMismatchError,
)
"""What LMDB raises where pages are not what they should be."""


class Record(NamedTuple):
    """One record of the topic; value None deletes the key."""

    key: bytes
    value: bytes | None
    partition: int
    offset: int
    timestamp_ms: int


class StoreFullError(StateError):
    """The disk does not take the next batch; it may later."""


class DamagedError(StateError):
    """What lies in the folder cannot be used any more; it is built anew."""


class Store:
    """One copy of one topic.

    Args:
        folder: where LMDB keeps its files; made where missing.
        map_bytes: how much room to begin with; it grows by itself.
        read_only: look at it beside the process that writes it.
        shared: other processes may use it at the same time.

    Raises:
        DamagedError: what lies there is no copy, or not a whole one.
        StateError: the folder cannot be used.
    """

    def __init__(
        self, folder: Path, map_bytes: int = FIRST_MAP_BYTES, *, read_only: bool = False, shared: bool = True
    ) -> None:
        self.folder = folder
        self._tag: bytes | None = None
        self._still: lmdb.Transaction | None = None
        reason = find_damage(folder / DATA)
        if reason is not None:
            raise DamagedError(reason)
        try:
            if not read_only:
                folder.mkdir(parents=True, exist_ok=True)
            self._map_bytes = max(map_bytes, _size_of(folder / DATA) * 2)
            self._environment = lmdb.open(
                str(folder),
                map_size=self._map_bytes,
                max_dbs=2,
                sync=False,
                metasync=False,
                max_readers=MAX_READERS,
                readonly=read_only,
                create=not read_only,
                lock=shared,
            )
            if not read_only:
                _allocate(folder / LOCK)
            self._records = self._environment.open_db(b"records", create=not read_only)
            self._meta = self._environment.open_db(b"meta", create=not read_only)
        except DAMAGE as error:
            raise DamagedError(f"the copy in {folder} cannot be read: {error}") from error
        except (OSError, lmdb.Error) as error:
            raise StateError(f"the reader's folder {folder} cannot be opened: {error}") from error

    def body(self, key: bytes) -> bytes | None:
        """Return what is served for a key; None where there is nothing."""
        with self._environment.begin(db=self._records, buffers=True) as transaction:
            stored = transaction.get(key)
            return None if stored is None else bytes(stored[HEADER.size :])

    def record(self, key: bytes) -> Record | None:
        """Return a key's record with its place in the topic; None where there is nothing."""
        with self._reading() as transaction:
            stored = transaction.get(key, db=self._records)
        if stored is None:
            return None
        partition, offset, timestamp_ms = HEADER.unpack_from(stored)
        return Record(key, bytes(stored[HEADER.size :]), partition, offset, timestamp_ms)

    def view(self) -> "StoreReadView":
        """Return the store as it is now; none may be open when the map grows or the store is closed."""
        try:
            transaction = self._environment.begin(db=self._records)
        except lmdb.MapResizedError:  # the process that writes has grown it
            self._environment.set_mapsize(0)
            transaction = self._environment.begin(db=self._records)
        if self._tag is None:
            identity = transaction.get(b"note/identity", db=self._meta)
            self._tag = None if identity is None else b"%08x" % zlib.crc32(identity)
        return StoreReadView(transaction, self._meta, self._tag or b"")

    def apply(self, records: Iterable[Record], offsets: Mapping[int, int], heartbeats: Iterable[Record] = ()) -> None:
        """Take in a batch, all of it or nothing; what was taken in before is passed over.

        Args:
            records: in the topic's order within each partition.
            offsets: partition -> the offset to go on from afterwards, for every partition that the records are of.
            heartbeats: of the same partitions; kept apart, where nobody who asks for users finds them.

        Raises:
            lmdb.MapFullError: the map must grow first; see `grow`.
            StoreFullError: the disk is full.
            DamagedError: pages are not what they should be.
        """
        with self._writing() as transaction:
            known = {partition: self._offset(transaction, partition) for partition in offsets}
            latest = {record.key: record for record in records if record.offset >= known[record.partition]}
            for key in sorted(latest):
                _, value, partition, offset, timestamp_ms = latest[key]
                if value is None:
                    transaction.delete(key, db=self._records)
                else:
                    header = HEADER.pack(partition, offset, timestamp_ms)
                    transaction.put(key, header + value, db=self._records)
            for key, value, partition, offset, _ in heartbeats:
                if offset >= known[partition] and value is not None:
                    transaction.put(HEARTBEAT % partition + key, value, db=self._meta)
            for partition, offset in offsets.items():
                if offset > known[partition]:
                    transaction.put(OFFSET % partition, b"%d" % offset, db=self._meta)

    @contextmanager
    def _writing(self) -> Iterator[lmdb.Transaction]:
        try:
            with self._environment.begin(write=True) as transaction:
                yield transaction
        except lmdb.MapFullError:
            raise
        except DAMAGE as error:
            raise DamagedError(f"the copy in {self.folder} is damaged: {error}") from error
        except lmdb.Error as error:
            raise StoreFullError(f"the reader's folder {self.folder} takes nothing more: {error}") from error

    def _offset(self, transaction: lmdb.Transaction, partition: int) -> int:
        return int(transaction.get(OFFSET % partition, b"0", db=self._meta))

    def grow(self) -> None:
        """Double the map. No transaction may be open in this process: call it where reads happen."""
        self._map_bytes *= 2
        self._environment.set_mapsize(self._map_bytes)

    @contextmanager
    def still(self) -> Iterator[None]:
        """Show the store as it is now within the context, whatever is written meanwhile."""
        with self._environment.begin() as transaction:
            self._still = transaction
            try:
                yield
            finally:
                self._still = None

    @contextmanager
    def _reading(self) -> Iterator[lmdb.Transaction]:
        if self._still is not None:
            yield self._still
            return
        with self._environment.begin() as transaction:
            yield transaction

    def forget_dead_readers(self) -> None:
        """Give back the pages that processes were looking at when they died."""
        self._environment.reader_check()

    def offsets(self) -> dict[int, int]:
        """Return partition -> the offset to go on from, for every partition that was ever read."""
        return {int(key): int(value) for key, value in self._under(b"offset/")}

    def heartbeats(self) -> list[tuple[int, Heartbeat]]:
        """Return the heartbeats that were taken in last, each with its partition, the oldest of them first."""
        found = []
        for place, value in self._under(b"heartbeat/"):
            partition, _, key = place.partition(b"/")
            heartbeat = parse_heartbeat(key, value)
            if heartbeat is not None:
                found.append((int(partition), heartbeat))
        return sorted(found, key=lambda pair: pair[1].time_ms)

    def _under(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return what stands beside the data under names that begin so, without that beginning."""
        pairs = []
        with self._reading() as transaction, transaction.cursor(self._meta) as cursor:
            if cursor.set_range(prefix):
                for name, value in cursor:
                    if not bytes(name).startswith(prefix):
                        break
                    pairs.append((bytes(name).removeprefix(prefix), bytes(value)))
        return pairs

    def note(self, name: str) -> Any:  # noqa: ANN401 - whatever JSON was written there
        """Return what was noted under a name; None where nothing was."""
        with self._reading() as transaction:
            value = transaction.get(b"note/" + name.encode(), db=self._meta)
        return None if value is None else json.loads(bytes(value))

    @property
    def complete(self) -> bool:
        """Whether this was once all that the topic had, in a format that this version reads.

        A copy that a snapshot was installed as is not, until it was held against the topic: see
        reader.storage.snapshot.
        """
        identity = self.note("identity")
        readable = identity is not None and identity.get("format") == FORMAT
        return readable and bool(self.note("complete")) and self.note("snapshot") is None

    def write_notes(self, **notes: object) -> None:
        """Note something beside the data: names and values that JSON can hold, all in one transaction.

        Raises:
            lmdb.MapFullError: the map must grow first; see `grow`.
            StoreFullError: the disk is full.
        """
        with self._writing() as transaction:
            for name, value in notes.items():
                transaction.put(b"note/" + name.encode(), json.dumps(value).encode(), db=self._meta)

    def count(self) -> int:
        """Return how many records are held."""
        with self._reading() as transaction:
            entries: int = transaction.stat(self._records)["entries"]
            return entries

    def size_bytes(self) -> int:
        """Return how much room this takes up on disk."""
        return (self.folder / DATA).stat().st_blocks * 512

    def free_bytes(self) -> int:
        """Return how much room the disk has left for this process."""
        return shutil.disk_usage(self.folder).free

    def bytes_in_use(self) -> int:
        """Return how much of the file holds records, without what is free to be written over."""
        with self._reading() as transaction:
            about = transaction.stat(self._records)
            return int(about["psize"] * (about["branch_pages"] + about["leaf_pages"] + about["overflow_pages"]))

    def records(self) -> Iterator[Record]:
        """Return every record, by key; for checks."""
        with self._reading() as transaction, transaction.cursor(self._records) as cursor:
            for key, value in cursor:
                partition, offset, timestamp_ms = HEADER.unpack_from(value)
                yield Record(bytes(key), bytes(value[HEADER.size :]), partition, offset, timestamp_ms)

    def items(self) -> dict[bytes, bytes]:
        """Return everything, key -> body; for checks."""
        return {record.key: record.value or b"" for record in self.records()}

    def copy_to(self, folder: Path) -> None:
        """Write all that is held at this moment to another folder, compacted, while it is being written to.

        Raises:
            StateError: it cannot be written.
        """
        try:
            self._environment.copy(str(folder), compact=True)
        except lmdb.Error as error:
            raise StateError(f"the folder {folder} does not take a copy: {error}") from error

    def sync(self) -> None:
        """Have the disk hold what was committed, and forget processes that died while they looked at it.

        Raises:
            StoreFullError: it cannot.
        """
        try:
            self._environment.sync(True)
            # What such a process looked at would be kept for ever, and the file grow.
            self._environment.reader_check()
        except lmdb.Error as error:
            raise StoreFullError(f"the reader's folder {self.folder} cannot be written to: {error}") from error

    def close(self) -> None:
        """Let go, without waiting for the disk: see `sync`."""
        self._environment.close()


class StoreReadView:
    """One read transaction.

    Args:
        transaction: open, on the records.
        meta: the database of offsets.
        tag: names the topic that this is a copy of.
    """

    def __init__(self, transaction: lmdb.Transaction, meta: Any, tag: bytes) -> None:  # noqa: ANN401 - LMDB's own type
        self._get: Callable[..., Any] = transaction.get
        self._transaction = transaction
        self._meta = meta
        self.tag = tag

    def find(self, key: bytes) -> StoredRecord | None:
        """Return a key's record; None where there is nothing."""
        stored = self._get(key)
        if stored is None:
            return None
        partition, offset, timestamp_ms = HEADER.unpack_from(stored)
        return StoredRecord(partition, offset, timestamp_ms, stored[HEADER.size :])

    def position(self, partition: int) -> int | None:
        """Return the offset up to which a partition is held; None where nothing was read of it."""
        stored = self._get(b"offset/%d" % partition, db=self._meta)
        return None if stored is None else int(stored)

    def close(self) -> None:
        """End the transaction."""
        self._transaction.abort()


def _allocate(lock: Path) -> None:
    """Have the disk hold LMDB's table of readers whole: a hole in it would end the process once the disk is full."""
    with lock.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


def _size_of(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


MapFullError = lmdb.MapFullError
"""Raised by `Store.apply` when the map must grow."""
