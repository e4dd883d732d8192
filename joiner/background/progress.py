"""How far this process has come: written by its loop, read by the threads next to it."""

import threading
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from joiner.core.build import Build, PartBuild
from joiner.core.records import PartitionId


class Uncommitted(NamedTuple):
    """What was read of a partition and not committed.

    Args:
        committed: the next offset to read after what is committed.
        last: the last offset that was read.
    """

    committed: int
    last: int


class CommittedProgress:
    """Facts about what is committed, passed from the loop to the background threads.

    Who writes and who reads:
        _caught_up_ms: written by the loop; taken by Maintenance, which notes it in the ledger.
        _consumed: written by the loop, and by the admin client's thread where a deletion failed; taken by Maintenance,
            which deletes what is before it.
        _positions: written by the loop; read by the loop, HeartbeatRelay and Maintenance.
        _watermarks: written by the loop; taken by HeartbeatRelay, which writes heartbeats of it.
        commits: written by the loop; read by the main thread once the loop has ended.
        _reached, _read: written by the loop; read by the main thread once the loop has ended.
        _parts: written by the loop; read by the loop, HeartbeatRelay and BuildRelay.
        build: written by BuildRelay; read by the loop, which writes marks of it.
        beats_stream: written by HeartbeatRelay; read by BuildRelay.
        committed_at: written by the loop; read by the thread that answers /metrics.
        failure: written by Maintenance; read by the loop, which raises it.

    "The loop" includes callbacks of a rebalance. The lock guards the first four, of which more than one step may belong
    together. The others need none: one thread has them, or each access is of one reference (`owns`, `position`).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._caught_up_ms: dict[PartitionId, int] = {}
        self._consumed: dict[PartitionId, int] = {}
        self._positions: dict[PartitionId, int] = {}
        self._watermarks: list[tuple[int, bytes]] = []
        self._reached: dict[PartitionId, int] = {}
        self._read: dict[PartitionId, int] = {}
        self._parts: dict[int, PartBuild] = {}
        self.build: Build | None = None
        """The group's build, if any is noted."""
        self.waits_for: str | None = None
        """What is waited for until the sources are whole, for people."""
        self.beats_stream = False
        """True once a heartbeat has come that no snapshot has read."""
        self.commits = 0
        """How often the loop has committed."""
        self.committed_at = time.monotonic()
        """When it last committed, or last found nothing to commit."""
        self.failure: Exception | None = None
        """Why the loop must end."""

    def assign(self, offsets: Mapping[PartitionId, int]) -> None:
        """Note which partitions this process owns, and forget what was known of others.

        Args:
            offsets: partition -> the next offset to read after what is committed.
        """
        with self._lock:
            self._positions = {each: max(offset, self._positions.get(each, 0)) for each, offset in offsets.items()}
            self._reached |= self._positions
            self._parts = {}
            for known in (self._caught_up_ms, self._consumed):
                for partition_id in known.keys() - offsets.keys():
                    del known[partition_id]

    def note_caught_up(self, partition_id: PartitionId, now_ms: int) -> None:
        """Note that a partition was read to its end, and all of it committed, at a time."""
        with self._lock:
            self._caught_up_ms[partition_id] = now_ms

    def note_consumed(self, partition_id: PartitionId, offset: int) -> None:
        """Note the committed offset of a partition; the records before it are needed no more."""
        with self._lock:
            self._consumed[partition_id] = max(offset, self._consumed.get(partition_id, 0))

    def note_position(self, partition_id: PartitionId, offset: int) -> None:
        """Note the offset up to which a partition is read and committed, the markers of transactions included."""
        with self._lock:
            if partition_id in self._positions:
                self._reached[partition_id] = self._positions[partition_id] = max(offset, self._positions[partition_id])

    def note_read(self, offsets: Mapping[PartitionId, int]) -> None:
        """Note the last offset that was read of partitions, committed or not."""
        self._read.update(offsets)

    def reached(self, partition_id: PartitionId) -> int:
        """Return the next offset to read after what is known to be committed, of a partition that was ever owned."""
        return self._reached.get(partition_id, 0)

    def find_uncommitted(self) -> dict[PartitionId, Uncommitted]:
        """Return what was read and is not known to be committed, of partitions that are owned no more as well."""
        return {
            each: Uncommitted(self.reached(each), last)
            for each, last in self._read.items()
            if last >= self.reached(each)
        }

    def note_watermarks(self, watermarks: Iterable[tuple[int, bytes]]) -> None:
        """Note watermarks that were read: the internal partition, and the value as joiner.core.watermarks writes it."""
        with self._lock:
            self._watermarks += watermarks

    def take_watermarks(self) -> list[tuple[int, bytes]]:
        """Return the watermarks noted since the last call."""
        with self._lock:
            taken, self._watermarks = self._watermarks, []
        return taken

    def note_parts(self, parts: Mapping[int, PartBuild]) -> None:
        """Note how far the builds of parts, partitions of the internal topic, are."""
        with self._lock:
            self._parts = {**self._parts, **parts}

    def part(self, number: int) -> PartBuild | None:
        """Return how far the build of a part of this process is; None where that has not been looked up yet."""
        return self._parts.get(number)

    def shows_all(self, number: int) -> bool:
        """Return whether all changes of a part are written as they come."""
        part = self._parts.get(number)
        return self.build is None or (part is not None and part.phase in {"taking-back", "whole"})

    def has_joined(self, number: int) -> bool:
        """Return whether all that the sources held when the build began is joined in a part of this process."""
        part = self._parts.get(number)
        return self.build is None or (part is not None and part.phase != "joining")

    def owns(self, partition_id: PartitionId) -> bool:
        """Return whether this process owns a partition."""
        return partition_id in self._positions

    def position(self, partition_id: PartitionId) -> int:
        """Return the next offset to read of a partition that this process owns; 0 for any other."""
        return self._positions.get(partition_id, 0)

    def positions(self) -> dict[PartitionId, int]:
        """Return the next offset to read of each partition that this process owns."""
        with self._lock:
            return dict(self._positions)

    def take_caught_up(self) -> dict[PartitionId, int]:
        """Return the partitions that were read to their ends since the last call, and when."""
        with self._lock:
            taken, self._caught_up_ms = self._caught_up_ms, {}
        return taken

    def take_consumed(self) -> dict[PartitionId, int]:
        """Return the committed offsets noted since the last call."""
        with self._lock:
            taken, self._consumed = self._consumed, {}
        return taken
