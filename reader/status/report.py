"""The status of a reader as numbers that its threads and processes can hand to each other."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from reader.status.counters import AGE_EDGES, BATCH_EDGES, ApplyCounters, Histogram
from replication.readiness import Readiness


@dataclass(frozen=True)
class LiveCopy:
    """What the live copy holds.

    Args:
        name: the folder's name.
        records: how many.
        size_bytes: bytes used on disk.
        free_bytes: bytes that the disk has left for it.
    """

    name: str = ""
    records: int = 0
    size_bytes: int = 0
    free_bytes: int = 0


@dataclass(frozen=True)
class StatusReport:
    """All that a reader says about itself, except what it has counted of its responses.

    Args:
        readiness: how far it is.
        alive: whether its replicator runs.
        live_copy: what is served.
        lag_records: partition -> records, by offset, that the topic has and the copy has not.
        lag_seconds: partition -> how long ago the copy last held all of it; missing if it never did.
        applied: what was applied.
        fresh_ms: partition -> the source time, epoch ms, up to which it is complete; missing if that is not known.
        made_at: when it was made, on the machine's monotonic clock.
    """

    readiness: Readiness
    alive: bool = True
    live_copy: LiveCopy = LiveCopy()
    lag_records: Mapping[int, int] = field(default_factory=dict)
    lag_seconds: Mapping[int, float] = field(default_factory=dict)
    applied: ApplyCounters = field(default_factory=ApplyCounters)
    fresh_ms: Mapping[int, int] = field(default_factory=dict)
    made_at: float = 0.0

    def to_document(self) -> dict[str, Any]:
        """Return all of it in types that JSON can hold."""
        applied = self.applied
        batches, ages = applied.batches, applied.ages
        return {
            "readiness": asdict(self.readiness),
            "alive": self.alive,
            "live_copy": asdict(self.live_copy),
            "lag_records": {str(partition): lag for partition, lag in self.lag_records.items()},
            "lag_seconds": {str(partition): lag for partition, lag in self.lag_seconds.items()},
            "made_at": self.made_at,
            "applied": [applied.records, applied.size_bytes, batches.counts, batches.total, applied.skipped],
            "ages": [ages.counts, ages.total, applied.replayed, applied.untimed],
            "fresh_ms": {str(partition): time_ms for partition, time_ms in self.fresh_ms.items()},
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "StatusReport":
        """Return the report that `to_document` was called on."""
        records, size_bytes, counts, total, skipped = document["applied"]
        age_counts, age_total, replayed, untimed = document["ages"]
        ages = Histogram(AGE_EDGES, age_counts, age_total)
        return cls(
            Readiness(**document["readiness"]),
            document["alive"],
            LiveCopy(**document["live_copy"]),
            {int(partition): lag for partition, lag in document["lag_records"].items()},
            {int(partition): lag for partition, lag in document["lag_seconds"].items()},
            ApplyCounters(records, size_bytes, Histogram(BATCH_EDGES, counts, total), skipped, ages, replayed, untimed),
            {int(partition): time_ms for partition, time_ms in document["fresh_ms"].items()},
            document["made_at"],
        )
