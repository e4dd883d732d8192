"""Watermarks: the source time up to which everything has been joined, which a heartbeat may carry to readers.

A heartbeat that travels the way of the data says that all earlier changes have reached Kafka. So the joiner asks where
the source partitions end at that moment: a partition that is read and committed up to there is complete up to the
heartbeat's time (`SourceWatermarks`, stage 1). The joiners write these times into every partition of the internal
topic, in order behind the changes. Once a partition has brought a time for each source partition, the oldest of them
holds for all that was read from it (`InternalWatermarks`, stage 2). Guarantees: a watermark stays true whoever owns the
partition later, so a repeated or late one does no harm; a single partition that does not move holds back the time of
all. Pure: no Kafka, no clock.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import orjson

from joiner.core.records import PartitionId

WATERMARKS_KEY = b"times"
"""Key of an internal record that holds watermarks of source partitions, and no changes."""

MAX_WAITING = 1_000
"""Heartbeats remembered for a partition; beyond that every second one is dropped, which only makes data seem older."""


class _Mark(NamedTuple):
    """Reading up to an offset completes a partition up to a time."""

    end: int
    time_ms: int


class SourceWatermarks:
    """Stage 1: the heartbeats that the source partitions of this process have passed."""

    def __init__(self) -> None:
        self._waiting: dict[PartitionId, deque[_Mark]] = {}
        self._passed: dict[PartitionId, int] = {}

    def note_heartbeat(self, time_ms: int, ends: Mapping[PartitionId, int]) -> None:
        """Note a heartbeat that was read.

        Args:
            time_ms: its source time.
            ends: the high watermark of each partition, asked for after the heartbeat was read; it includes records of
                open transactions.
        """
        for partition_id, end in ends.items():
            waiting = self._waiting.setdefault(partition_id, deque())
            if waiting and waiting[-1].end == end:
                waiting[-1] = _Mark(end, max(time_ms, waiting[-1].time_ms))
                continue
            waiting.append(_Mark(end, time_ms))
            if len(waiting) > MAX_WAITING:
                self._waiting[partition_id] = deque(list(waiting)[1::2])

    def advance(self, positions: Mapping[PartitionId, int]) -> dict[PartitionId, int]:
        """Advance; return the partitions that have passed heartbeats on the way, and the newest time of each.

        Args:
            positions: the next offset to read of each partition; all before it is read and committed.
        """
        moved = {}
        for partition_id, position in positions.items():
            waiting, newest = self._waiting.get(partition_id), -1
            while waiting and waiting[0].end <= position:
                newest = max(newest, waiting.popleft().time_ms)
            if newest > self._passed.get(partition_id, -1):
                self._passed[partition_id] = moved[partition_id] = newest
        return moved

    def find_oldest(self, partition_ids: Iterable[PartitionId]) -> int | None:
        """Return the time up to which all these partitions are complete; None if it is not known of one."""
        times = [self._passed.get(partition_id) for partition_id in partition_ids]
        return None if not times or None in times else min(time for time in times if time is not None)


class InternalWatermarks:
    """Stage 2: the time up to which all source partitions are joined into what was read of the internal topic.

    Args:
        sources: every source partition, including those that other joiners read.
    """

    def __init__(self, sources: Iterable[PartitionId]) -> None:
        self._sources = frozenset(sources)
        self._times: dict[int, dict[PartitionId, int]] = {}
        self._given: dict[int, int] = {}

    def receive(self, partition: int, times: Mapping[PartitionId, int]) -> int | None:
        """Note a joiner's watermarks, and return the partition's own if it has moved.

        Args:
            partition: of the internal topic; everything before these watermarks in it is applied and committed.
            times: source partition -> the time up to which it is complete.
        """
        known = self._times.setdefault(partition, {})
        for partition_id in self._sources & times.keys():
            known[partition_id] = max(times[partition_id], known.get(partition_id, -1))
        if len(known) < len(self._sources):
            return None
        oldest = min(known.values(), default=-1)
        if oldest <= self._given.get(partition, -1):
            return None
        self._given[partition] = oldest
        return oldest


def encode_watermarks(times: Mapping[PartitionId, int]) -> bytes:
    """Return watermarks as they travel in `user-info-changes`: a JSON array; `decode_watermarks` reads it."""
    return orjson.dumps([[topic, partition, time_ms] for (topic, partition), time_ms in times.items()])


def decode_watermarks(value: bytes) -> dict[PartitionId, int]:
    """Return the watermarks that `encode_watermarks` wrote."""
    return {(topic, partition): time_ms for topic, partition, time_ms in orjson.loads(value)}
