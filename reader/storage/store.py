"""The local copy of the topic, in LMDB.

Guarantees: a batch's records and the offsets that follow it are one transaction, so that whatever ends the process, the
store holds exactly the topic's prefix that its offsets claim. Knows nothing of Kafka and HTTP.

Commits are not synced one by one: a killed process loses nothing by that, and a sync in the middle of traffic costs
tens of milliseconds. `sync` is called every few seconds. A power cut could leave torn pages where LMDB does not see it,
so a store that was open when the machine went down is never opened again (see reader.storage.generations).
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from reader.storage.data_file import find_damage
from reader.storage.environment import DATA, open_environment, read_data_size
from reader.storage.errors import DamagedError, StoreFullError, translate_open_errors, translate_write_errors
from reader.storage.metadata import CopiedTopic, StoreMetadata, read_topic
from reader.storage.records import FORMAT, HEADER, decode_record
from reader.storage.store_view import StoreReadView
from replication.records import Record
from shared.builds import BuildMark
from shared.errors import StateError
from shared.heartbeats import Heartbeat

FIRST_MAP_BYTES = 1 << 30
"""Size of a new map: address space, neither memory nor disk."""


class Store:
    """One copy of one topic.

    In the process that writes it, the replicator thread calls what writes, and the thread that serves clients calls
    `view`; `grow` runs in the latter, between two reads (see reader.storage.read_view.RunBetweenReads). LMDB lets one
    thread write while others read.

    Args:
        folder: where LMDB keeps its files; created if missing.
        map_bytes: how much room to begin with; it grows by itself.
        read_only: read it next to the process that writes it.
        shared: other processes may use it at the same time.

    Raises:
        DamagedError: the folder holds no copy, or not all of one.
        StateError: the folder cannot be used.
    """

    def __init__(
        self, folder: Path, map_bytes: int = FIRST_MAP_BYTES, *, read_only: bool = False, shared: bool = True
    ) -> None:
        self.folder = folder
        self._topic: CopiedTopic | None = None
        self._frozen: lmdb.Transaction | None = None
        reason = find_damage(folder / DATA)
        if reason is not None:
            raise DamagedError(reason)
        with translate_open_errors(folder):
            self._map_bytes = max(map_bytes, read_data_size(folder) * 2)
            self._environment = open_environment(folder, self._map_bytes, read_only=read_only, shared=shared)
            self._records = self._environment.open_db(b"records", create=not read_only)
            self._meta = self._environment.open_db(b"meta", create=not read_only)
        self._metadata = StoreMetadata(self._meta)

    def view(self) -> StoreReadView:
        """Return the store as it is now; no view may be open when the map grows or the store is closed."""
        try:
            transaction = self._environment.begin(db=self._records)
        except lmdb.MapResizedError:  # the process that writes has grown it
            self._environment.set_mapsize(0)
            transaction = self._environment.begin(db=self._records)
        if self._topic is None:
            self._topic = read_topic(self._metadata.read_note(transaction, "identity"))
        return StoreReadView(transaction, self._meta, self._topic)

    def apply(self, records: Iterable[Record], offsets: Mapping[int, int], reserved: Iterable[Record] = ()) -> None:
        """Apply a batch, all of it or nothing; what was applied before is skipped.

        Args:
            records: in the topic's order within each partition.
            offsets: partition -> the next offset to read afterwards, for every partition that the records are of.
            reserved: heartbeats, marks and shapes of these partitions; stored where no request for a user finds them.

        Raises:
            MapFullError: the map must grow first; see `grow`.
            StoreFullError: the disk is full.
            DamagedError: pages are not what they should be.
        """
        with self._begin_write() as transaction:
            known = {partition: self._metadata.read_offset(transaction, partition) for partition in offsets}
            latest = {record.key: record for record in records if record.offset >= known[record.partition]}
            for key in sorted(latest):
                _, value, partition, offset, timestamp_ms = latest[key]
                if value is None:
                    transaction.delete(key, db=self._records)
                else:
                    header = HEADER.pack(partition, offset, timestamp_ms)
                    transaction.put(key, header + value, db=self._records)
            for key, value, partition, offset, _ in reserved:
                if offset >= known[partition] and value is not None:
                    self._metadata.write_reserved(transaction, partition, key, value)
            for partition, offset in offsets.items():
                if offset > known[partition]:
                    self._metadata.write_offset(transaction, partition, offset)

    @contextmanager
    def _begin_write(self) -> Iterator[lmdb.Transaction]:
        with translate_write_errors(self.folder), self._environment.begin(write=True) as transaction:
            yield transaction

    def grow(self) -> None:
        """Double the map. No transaction may be open in this process: call it between reads."""
        self._map_bytes *= 2
        self._environment.set_mapsize(self._map_bytes)

    @contextmanager
    def freeze(self) -> Iterator[None]:
        """Show the store as it is now within the context, whatever is written meanwhile."""
        with self._environment.begin() as transaction:
            self._frozen = transaction
            try:
                yield
            finally:
                self._frozen = None

    @contextmanager
    def _begin_read(self) -> Iterator[lmdb.Transaction]:
        if self._frozen is not None:
            yield self._frozen
            return
        with self._environment.begin() as transaction:
            yield transaction

    def body(self, key: bytes) -> bytes | None:
        """Return what is served for a key; None if there is nothing."""
        record = self.record(key)
        return None if record is None else record.value

    def record(self, key: bytes) -> Record | None:
        """Return a key's record with its position in the topic; None if there is none."""
        with self._begin_read() as transaction:
            stored = transaction.get(key, db=self._records)
        return None if stored is None else decode_record(key, stored)

    def records(self) -> Iterator[Record]:
        """Return every record, by key; for checks."""
        with self._begin_read() as transaction, transaction.cursor(self._records) as cursor:
            for key, stored in cursor:
                yield decode_record(key, stored)

    def items(self) -> dict[bytes, bytes]:
        """Return everything, key -> body; for checks."""
        return {record.key: record.value or b"" for record in self.records()}

    def offsets(self) -> dict[int, int]:
        """Return partition -> the next offset to read, for every partition of which something was read."""
        with self._begin_read() as transaction:
            return self._metadata.read_offsets(transaction)

    def heartbeats(self) -> list[tuple[int, Heartbeat]]:
        """Return the newest heartbeats, each with its partition, the oldest of them first."""
        with self._begin_read() as transaction:
            return self._metadata.read_heartbeats(transaction)

    def marks(self) -> list[tuple[int, BuildMark]]:
        """Return the newest marks of builds, each with its partition."""
        with self._begin_read() as transaction:
            return self._metadata.read_marks(transaction)

    def note(self, name: str) -> Any:  # noqa: ANN401 - whatever JSON was noted
        """Return what was noted under a name; None if nothing was."""
        with self._begin_read() as transaction:
            return self._metadata.read_note(transaction, name)

    def write_notes(self, **notes: object) -> None:
        """Note something next to the records: names and values that JSON can hold, all in one transaction.

        Raises:
            MapFullError: the map must grow first; see `grow`.
            StoreFullError: the disk is full.
        """
        with self._begin_write() as transaction:
            self._metadata.write_notes(transaction, notes)

    @property
    def complete(self) -> bool:
        """Whether this was once all that the topic had, whole values only, in a format that this version reads.

        A copy that was installed from a snapshot is not complete until the topic has confirmed it: see
        reader.storage.snapshot.
        """
        identity = self.note("identity")
        readable = identity is not None and identity.get("format") == FORMAT
        return readable and bool(self.note("complete")) and self.note("snapshot") is None

    def count(self) -> int:
        """Return how many records are stored."""
        with self._begin_read() as transaction:
            return int(transaction.stat(self._records)["entries"])

    def size_bytes(self) -> int:
        """Return how much room this takes up on disk."""
        return (self.folder / DATA).stat().st_blocks * 512

    def free_bytes(self) -> int:
        """Return how much room the disk has left for this process."""
        return shutil.disk_usage(self.folder).free

    def bytes_in_use(self) -> int:
        """Return how much of the file holds records, without its free pages."""
        with self._begin_read() as transaction:
            about = transaction.stat(self._records)
            return int(about["psize"] * (about["branch_pages"] + about["leaf_pages"] + about["overflow_pages"]))

    def copy_to(self, folder: Path) -> None:
        """Write all that is stored at this moment to another folder, compacted, while it may be written to.

        Raises:
            StateError: the folder cannot.
        """
        try:
            self._environment.copy(str(folder), compact=True)
        except lmdb.Error as error:
            raise StateError(f"no copy can be written to folder {folder}: {error}", "make room on its disk") from error

    def release_dead_readers(self) -> None:
        """Give back the pages that processes were reading when they died."""
        self._environment.reader_check()

    def sync(self) -> None:
        """Sync what was committed to disk, and release processes that died while they read.

        Raises:
            StoreFullError: the disk does not take it.
        """
        try:
            self._environment.sync(True)
            # The pages that such a process was reading would be kept for ever, and the file grow.
            self._environment.reader_check()
        except lmdb.Error as error:
            raise StoreFullError(self.folder, error) from error

    def close(self) -> None:
        """Close the files, without waiting for the disk: see `sync`."""
        self._environment.close()
