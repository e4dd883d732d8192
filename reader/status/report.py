"""How a reader stands: what it follows, how far it is, what it holds; numbers that processes can hand to each other."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from reader.status.counters import AGE_EDGES, BATCH_EDGES, ApplyCounters, Histogram
from reader.status.readiness import Readiness


@dataclass(frozen=True)
class LiveCopy:
    """What the live copy holds.

    Args:
        copy: its folder's name.
        records: how many.
        size_bytes: that it takes up on disk.
        free_bytes: that the disk has left for it.
    """

    copy: str = ""
    records: int = 0
    size_bytes: int = 0
    free_bytes: int = 0


@dataclass(frozen=True)
class StatusReport:
    """All that a reader says of itself, but its answers.

    Args:
        progress: how far it is.
        alive: whether it still follows the topic.
        held: what is served.
        lag_records: partition -> records, by offset, that the topic has and the copy has not.
        lag_seconds: partition -> how long ago the copy last held all of it; missing where it never did.
        intake: what was taken in.
        fresh_ms: partition -> the source time, epoch ms, up to which it is complete; missing where that is not known.
        at: when this was so, on the machine's monotonic clock.
    """

    progress: Readiness
    alive: bool = True
    held: LiveCopy = LiveCopy()
    lag_records: Mapping[int, int] = field(default_factory=dict)
    lag_seconds: Mapping[int, float] = field(default_factory=dict)
    intake: ApplyCounters = field(default_factory=ApplyCounters)
    fresh_ms: Mapping[int, int] = field(default_factory=dict)
    at: float = 0.0

    def document(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        intake = self.intake
        return {
            "progress": asdict(self.progress),
            "alive": self.alive,
            "held": asdict(self.held),
            "lag_records": {str(partition): lag for partition, lag in self.lag_records.items()},
            "lag_seconds": {str(partition): lag for partition, lag in self.lag_seconds.items()},
            "at": self.at,
            "intake": [intake.records, intake.size_bytes, intake.batches.counts, intake.batches.total, intake.skipped],
            "ages": [intake.ages.counts, intake.ages.total, intake.replayed, intake.untimed],
            "fresh_ms": {str(partition): time_ms for partition, time_ms in self.fresh_ms.items()},
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "StatusReport":
        """Return what `document` returned."""
        records, size_bytes, counts, total, skipped = document["intake"]
        age_counts, age_total, replayed, untimed = document["ages"]
        ages = Histogram(AGE_EDGES, age_counts, age_total)
        return cls(
            Readiness(**document["progress"]),
            document["alive"],
            LiveCopy(**document["held"]),
            {int(partition): lag for partition, lag in document["lag_records"].items()},
            {int(partition): lag for partition, lag in document["lag_seconds"].items()},
            ApplyCounters(records, size_bytes, Histogram(BATCH_EDGES, counts, total), skipped, ages, replayed, untimed),
            {int(partition): time_ms for partition, time_ms in document["fresh_ms"].items()},
            document["at"],
        )


class Followed(Protocol):
    """A session of following the topic, as far as it is looked at here."""

    positions: dict[int, int]
    ends: dict[int, int]

    def held(self, now: float) -> list[float | None]:
        """Return for each partition when its end was last in the copy."""


def measure_lags(followed: Followed | None) -> tuple[dict[int, int], dict[int, float]]:
    """Return for each partition how many records, and how many seconds, a copy lags.

    Args:
        followed: None where no topic is followed at the moment: nothing is known then.
    """
    if followed is None:
        return {}, {}
    now = time.monotonic()
    records = {
        partition: max(0, followed.ends.get(partition, 0) - position)
        for partition, position in followed.positions.items()
    }
    moments = zip(followed.positions, followed.held(now), strict=True)
    return records, {partition: now - moment for partition, moment in moments if moment is not None}
