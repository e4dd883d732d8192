"""How far a copy is behind its topic, for other threads to read. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Lags:
    """How far a copy was behind each partition's end; never changed, so that any thread may read it.

    Args:
        records: partition -> records, by offset, that the topic has and the copy has not.
        held_at: partition -> when the copy last held all of it, on the monotonic clock; missing if it never did.
        at_end: the partitions of which Kafka has said nothing since the copy held all of them.
    """

    records: Mapping[int, int] = field(default_factory=dict)
    held_at: Mapping[int, float] = field(default_factory=dict)
    at_end: frozenset[int] = frozenset()

    def seconds(self, now: float) -> dict[int, float]:
        """Return partition -> how long ago the copy last held all of it; missing if it never did.

        Args:
            now: the monotonic clock.
        """
        held_at = {partition: now - moment for partition, moment in self.held_at.items()}
        return held_at | dict.fromkeys(self.at_end, 0.0)


NO_LAGS = Lags()
"""While no session is under way: nothing is known then."""
