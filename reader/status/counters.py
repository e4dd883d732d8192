"""What one process has counted of its responses, and what the reader has counted of the batches that it applied. Pure.

Plain numbers without locks, since the hot path pays for each of them. The event loop thread of a process alone writes
its `ResponseCounters`, and reads them. The replicator thread alone writes `ApplyCounters`, and publishes copies.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

RESPONSE_EDGES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper edges of the histograms of responses, in seconds; the promise on reads is about 0.005 and 0.010."""

AGE_EDGES = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper edges of the histogram of updates' ages, in seconds; the promise on freshness is about 5 and 10."""

BATCH_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


@dataclass
class Histogram:
    """How many values were up to each of some edges.

    Args:
        edges: ascending; a value that equals an edge belongs to it.
        counts: one more than there are edges; all 0 to begin with.
        total: sum of the values.
    """

    edges: Sequence[float]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.edges) + 1)

    def count(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.edges, value)] += 1
        self.total += value

    def add(self, other: "Histogram") -> None:
        """Add what another histogram of the same edges has counted."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def copy(self) -> "Histogram":
        """Return a histogram that counts on independently."""
        return Histogram(self.edges, self.counts.copy(), self.total)


@dataclass
class ResponseCounters:
    """The responses of one process, or of several.

    Args:
        responses: status -> how many.
        seconds: from the moment at which a request could have been taken to its response's being handed to the system:
            what the event loop was late by when that was last measured, and the time that the loop's turn took.
        delays: how late the event loop was, measured at fixed intervals.
        connections: open now.
    """

    responses: dict[int, int] = field(default_factory=dict)
    seconds: Histogram = field(default_factory=lambda: Histogram(RESPONSE_EDGES))
    delays: Histogram = field(default_factory=lambda: Histogram(RESPONSE_EDGES))
    connections: int = 0
    late: float = 0.0

    def count_response(self, status: int, seconds: float) -> None:
        """Count one response, and how long it took here."""
        self.responses[status] = self.responses.get(status, 0) + 1
        self.seconds.count(self.late + seconds)

    def note_delay(self, seconds: float) -> None:
        """Note how late the event loop was just now."""
        self.late = max(0.0, seconds)
        self.delays.count(self.late)

    def add(self, other: "ResponseCounters") -> None:
        """Add what another process has counted."""
        for status, number in other.responses.items():
            self.responses[status] = self.responses.get(status, 0) + number
        self.seconds.add(other.seconds)
        self.delays.add(other.delays)
        self.connections += other.connections

    def to_document(self) -> dict[str, Any]:
        """Return all of it in types that JSON can hold."""
        return {
            "answers": {str(status): number for status, number in self.responses.items()},
            "seconds": [self.seconds.counts, self.seconds.total],
            "delays": [self.delays.counts, self.delays.total],
            "connections": self.connections,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "ResponseCounters":
        """Return the counters that `to_document` was called on."""
        return cls(
            {int(status): number for status, number in document["answers"].items()},
            Histogram(RESPONSE_EDGES, *document["seconds"]),
            Histogram(RESPONSE_EDGES, *document["delays"]),
            document["connections"],
        )


class Sized(Protocol):
    """A record, as far as its size goes."""

    @property
    def key(self) -> bytes: ...  # noqa: D102 - the record's own words

    @property
    def value(self) -> bytes | None: ...  # noqa: D102


@dataclass
class ApplyCounters:
    """The batches that were applied since the process began.

    Args:
        records: how many, tombstones included.
        size_bytes: of their keys and values.
        batches: seconds that it took to apply each.
        skipped: records whose keys are not ids, and which were not applied.
        ages: seconds from the oldest change that a record shows for the first time to its being applied.
        replayed: records without an age, since they were applied before the copy was served.
        untimed: records without an age, since they show no change that was made just now, as rows of a snapshot do.
    """

    records: int = 0
    size_bytes: int = 0
    batches: Histogram = field(default_factory=lambda: Histogram(BATCH_EDGES))
    skipped: int = 0
    ages: Histogram = field(default_factory=lambda: Histogram(AGE_EDGES))
    replayed: int = 0
    untimed: int = 0

    def count_batch(self, records: Sequence[Sized], seconds: float) -> None:
        """Count a batch.

        Args:
            records: that were in it.
            seconds: that it took.
        """
        self.records += len(records)
        self.size_bytes += sum(len(record.key) + len(record.value or b"") for record in records)
        self.batches.count(seconds)

    def count_ages(self, oldest_ms: Sequence[int | None], now_ms: int) -> None:
        """Count the ages of records that were applied while the copy was served.

        Args:
            oldest_ms: of each, the source time of the oldest change that it shows for the first time.
            now_ms: when they were applied, epoch ms.
        """
        for time_ms in oldest_ms:
            if time_ms is None:
                self.untimed += 1
            else:
                self.ages.count(max(0, now_ms - time_ms) / 1000)

    def copy(self) -> "ApplyCounters":
        """Return the numbers as they are now, which nothing changes any more."""
        return replace(self, batches=self.batches.copy(), ages=self.ages.copy())
