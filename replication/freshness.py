"""How fresh a copy is by the source's clock: the newest heartbeat of its slowest partition. Pure."""

from collections.abc import Mapping

from shared.heartbeats import Heartbeat
from shared.parts import parts_of
from shared.shards import Share


class Freshness:
    """The heartbeats that a copy holds. Only the replicator thread uses it.

    Args:
        share: the part of the topic that it is a copy of.
    """

    def __init__(self, share: Share) -> None:
        self._share = share
        self._times: dict[int, dict[int, int]] = {partition: {} for partition in share.held}
        self._parts: dict[int, int] = dict.fromkeys(share.held, 0)
        self._by_partition: dict[int, int] | None = None

    def note(self, partition: int, heartbeat: Heartbeat) -> None:
        """Note a heartbeat that was applied, together with all that came before it in its partition.

        Args:
            partition: that it was in.
            heartbeat: what it says.
        """
        if heartbeat.parts != self._parts[partition]:
            # The internal topic was created again with another number of partitions: the old parts are gone.
            if heartbeat.time_ms <= (self.time_ms(partition) or -1):
                return
            self._parts[partition], self._times[partition] = heartbeat.parts, {}
        self._by_partition = None
        times = self._times[partition]
        times[heartbeat.part] = max(heartbeat.time_ms, times.get(heartbeat.part, heartbeat.time_ms))

    def time_ms(self, partition: int) -> int | None:
        """Return the source time, epoch ms, up to which a partition is complete; None if that is not known."""
        parts = self._parts[partition]
        if not parts:
            return None
        times = [self._times[partition].get(part) for part in parts_of(partition, self._share.partitions, parts)]
        return None if None in times else min(time for time in times if time is not None)

    def by_partition(self) -> dict[int, int]:
        """Return the same for each partition of which it is known; what is returned never changes."""
        if self._by_partition is None:
            times = {partition: self.time_ms(partition) for partition in self._share.held}
            self._by_partition = {partition: time for partition, time in times.items() if time is not None}
        return self._by_partition

    @property
    def oldest_ms(self) -> int | None:
        """The source time up to which every partition is complete; None if that is not known of all of them."""
        return self.oldest_of(self.by_partition())

    def oldest_of(self, times_ms: Mapping[int, int]) -> int | None:
        """Return the same where `by_partition` has been called already."""
        return min(times_ms.values()) if times_ms and len(times_ms) == len(self._share.held) else None
