"""How far this process has come, noted by its loop and read by what runs beside it."""

import threading
import time

from joiner.inputs import Place


class Progress:
    """Facts that the loop hands over; each is true of what is committed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._caught_up_ms: dict[Place, int] = {}
        self._consumed: dict[Place, int] = {}
        self._assigned: frozenset[Place] = frozenset()
        self.commits = 0
        """How often the loop has committed."""
        self.committed_at = time.monotonic()
        """When it last committed, or last saw that nothing was left to commit."""
        self.failure: Exception | None = None
        """Why the loop must end; set beside it, raised by it."""

    def assign(self, places: frozenset[Place]) -> None:
        """Note which partitions are this process's own; what was known of others is dropped."""
        with self._lock:
            self._assigned = places
            for known in (self._caught_up_ms, self._consumed):
                for place in known.keys() - places:
                    del known[place]

    def catch_up(self, place: Place, now_ms: int) -> None:
        """Note that a partition is read to its end, and all of it committed."""
        with self._lock:
            self._caught_up_ms[place] = now_ms

    def consume(self, place: Place, offset: int) -> None:
        """Note the next offset to be read, all before it being committed."""
        with self._lock:
            self._consumed[place] = offset

    def owns(self, place: Place) -> bool:
        """Tell whether a partition is this process's own."""
        return place in self._assigned

    def take_caught_up(self) -> dict[Place, int]:
        """Return when which partitions were last read to their ends, since this was last asked."""
        with self._lock:
            taken, self._caught_up_ms = self._caught_up_ms, {}
        return taken

    def take_consumed(self) -> dict[Place, int]:
        """Return the next offsets of partitions in which something was read since this was last asked."""
        with self._lock:
            taken, self._consumed = self._consumed, {}
        return taken
