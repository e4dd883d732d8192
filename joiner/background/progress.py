"""How far this process has come, noted by its loop and read by what runs beside it."""

import threading
import time
from collections.abc import Iterable, Mapping

from joiner.core.compatibility import PartitionId


class CommittedProgress:
    """Facts that the loop hands over; each is true of what is committed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._caught_up_ms: dict[PartitionId, int] = {}
        self._consumed: dict[PartitionId, int] = {}
        self._positions: dict[PartitionId, int] = {}
        self._heard: list[tuple[int, bytes]] = []
        self.commits = 0
        """How often the loop has committed."""
        self.committed_at = time.monotonic()
        """When it last committed, or last saw that nothing was left to commit."""
        self.failure: Exception | None = None
        """Why the loop must end; set beside it, raised by it."""

    def assign(self, offsets: Mapping[PartitionId, int]) -> None:
        """Note which partitions are this process's own; what was known of others is dropped.

        Args:
            offsets: partition -> the next offset to be read by what is committed.
        """
        with self._lock:
            self._positions = {place: max(at, self._positions.get(place, 0)) for place, at in offsets.items()}
            for known in (self._caught_up_ms, self._consumed):
                for place in known.keys() - offsets.keys():
                    del known[place]

    def catch_up(self, place: PartitionId, now_ms: int) -> None:
        """Note that a partition is read to its end, and all of it committed."""
        with self._lock:
            self._caught_up_ms[place] = now_ms

    def consume(self, place: PartitionId, offset: int) -> None:
        """Note the offset that is committed of a partition; what is before it is needed no more."""
        with self._lock:
            self._consumed[place] = max(offset, self._consumed.get(place, 0))

    def reach(self, place: PartitionId, offset: int) -> None:
        """Note up to where a partition is read, all before that being committed; markers of transactions count too."""
        with self._lock:
            if place in self._positions:
                self._positions[place] = max(offset, self._positions[place])

    def hear(self, times: Iterable[tuple[int, bytes]]) -> None:
        """Note what was said in internal partitions of how far source partitions are joined."""
        with self._lock:
            self._heard += times

    def take_watermarks(self) -> list[tuple[int, bytes]]:
        """Return what was said since this was last asked."""
        with self._lock:
            taken, self._heard = self._heard, []
        return taken

    def owns(self, place: PartitionId) -> bool:
        """Tell whether a partition is this process's own."""
        return place in self._positions

    def position(self, place: PartitionId) -> int:
        """Return the next offset to be read of a partition of this process; 0 for any other."""
        return self._positions.get(place, 0)

    def positions(self) -> dict[PartitionId, int]:
        """Return the same for all partitions of this process."""
        with self._lock:
            return dict(self._positions)

    def take_caught_up(self) -> dict[PartitionId, int]:
        """Return when which partitions were last read to their ends, since this was last asked."""
        with self._lock:
            taken, self._caught_up_ms = self._caught_up_ms, {}
        return taken

    def take_consumed(self) -> dict[PartitionId, int]:
        """Return the offsets that are committed of partitions, of those read since this was last asked."""
        with self._lock:
            taken, self._consumed = self._consumed, {}
        return taken
