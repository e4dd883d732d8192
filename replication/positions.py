"""How far a copy has come in each partition of its topic, and when it provably held all of it. Pure.

Everything here belongs to the replicator thread. What other threads read of it is `Lags`, which never changes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from replication.lags import Lags


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where each partition's log begins, and where what is committed in it ends (the last stable offset)."""

    firsts: Mapping[int, int]
    ends: Mapping[int, int]


class Positions:
    """The next offset to read of each partition, and what is known of the partitions' ends.

    Args:
        start: partition -> the next offset to read, for every partition.
        bounds: of the topic when the session began.
    """

    def __init__(self, start: Mapping[int, int], bounds: Bounds) -> None:
        self._next = dict(start)
        self._first_ends = bounds.ends
        self._ends = dict(bounds.ends)
        self._begin = sum(bounds.firsts.values())
        self._started_at = sum(start.values())
        self._held_at: dict[int, float] = {}
        self._at_end: set[int] = set()

    def would_advance(self, offsets: Mapping[int, int]) -> bool:
        """Return whether a batch with these next offsets has anything new."""
        return any(offset > self._next[partition] for partition, offset in offsets.items())

    def advance(self, offsets: Mapping[int, int]) -> None:
        """Advance after a batch was applied; never go back."""
        for partition, offset in offsets.items():
            self._next[partition] = max(offset, self._next[partition])

    def note_batch(self, offsets: Mapping[int, int], ended: Iterable[int], now: float) -> None:
        """Note where a batch ended.

        Args:
            offsets: partition -> the next offset, of every partition that the batch had anything of.
            ended: the partitions whose end the batch reached.
            now: the monotonic clock.
        """
        self._at_end.difference_update(offsets)
        self._at_end.update(ended)
        self._held_at.update(dict.fromkeys(ended, now))

    def note_ends(self, ends: Mapping[int, int], asked_at: float) -> None:
        """Note the ends that Kafka has reported.

        Args:
            ends: partition -> its end.
            asked_at: when Kafka was asked, on the monotonic clock: what was written later may be missing.
        """
        for partition, end in ends.items():
            self._ends[partition] = end
            if self._next[partition] >= end:
                self._held_at[partition] = max(asked_at, self._held_at.get(partition, 0.0))

    def note_caught_up(self, now: float) -> None:
        """Note that the copy holds all that the topic had when the session began."""
        for partition in self._next:
            self._held_at.setdefault(partition, now)

    @property
    def have_reached_first_ends(self) -> bool:
        """Whether the copy holds all that the topic had when the session began."""
        return all(self._next[partition] >= end for partition, end in self._first_ends.items())

    @property
    def first(self) -> int:
        """Where the session began, in records by offset, counted as `applied` is."""
        return self._started_at - self._begin

    @property
    def applied(self) -> int:
        """How many records of the topic, by offset, the copy has applied."""
        return sum(self._next.values()) - self._begin

    @property
    def first_target(self) -> int:
        """How many records, by offset, the topic had when the session began."""
        return max(sum(self._first_ends.values()) - self._begin, 0)

    @property
    def target(self) -> int:
        """How many records, by offset, the topic has as far as is known; never fewer than were applied."""
        return max(sum(self._ends.values()) - self._begin, self.applied)

    def held_at(self, now: float) -> list[float | None]:
        """Return for each partition when its end was last in the copy: now, if nothing came after it."""
        return [now if partition in self._at_end else self._held_at.get(partition) for partition in self._next]

    @property
    def complete_at(self) -> float | None:
        """When the copy last held, provably, all that the topic had; None if that is not known of a partition."""
        return min(self._held_at.values()) if len(self._held_at) == len(self._next) else None

    def lags(self) -> Lags:
        """Return how far the copy is behind each partition's end."""
        records = {partition: max(0, self._ends.get(partition, 0) - offset) for partition, offset in self._next.items()}
        return Lags(records, dict(self._held_at), frozenset(self._at_end))
