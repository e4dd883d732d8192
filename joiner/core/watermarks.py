"""Up to which source time everything is joined: the time that a heartbeat may carry on.

A heartbeat that came the way of the data says that whatever changed before it has reached Kafka. So the ends that the
source partitions have at that moment are what must be read: a partition that is read and committed up to there is
complete up to the heartbeat's time (`SourceWatermarks`, stage 1). What the joiners say of their partitions travels
through every partition of the internal topic, in order behind the changes; where all source partitions have been heard
of, the oldest of their times holds for what was read there (`InternalWatermarks`, stage 2). Guarantees: a time, once
given, stays true whoever owns the partition afterwards, so a repeated or late word does no harm; a single partition
that does not move holds back the time of all. Pure: no Kafka, no clock.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import orjson

from joiner.core.compatibility import PartitionId

WATERMARKS_KEY = b"times"
"""Key of an internal record that says how far source partitions are joined; it changes nothing."""

MAX_WAITING = 1_000
"""Heartbeats that are remembered of one partition; beyond that every second one is forgotten, which only costs age."""


class _Mark(NamedTuple):
    """Reading up to an offset completes a partition up to a time."""

    end: int
    time_ms: int


class SourceWatermarks:
    """Stage 1: which heartbeats the source partitions of this process have passed."""

    def __init__(self) -> None:
        self._waiting: dict[PartitionId, deque[_Mark]] = {}
        self._passed: dict[PartitionId, int] = {}

    def expect(self, time_ms: int, ends: Mapping[PartitionId, int]) -> None:
        """Note a heartbeat.

        Args:
            time_ms: source time of the heartbeat.
            ends: the next offset to be written to each partition, asked after the heartbeat had been read; records
                that a transaction may still take back included.
        """
        for place, end in ends.items():
            waiting = self._waiting.setdefault(place, deque())
            if waiting and waiting[-1].end == end:
                waiting[-1] = _Mark(end, max(time_ms, waiting[-1].time_ms))
                continue
            waiting.append(_Mark(end, time_ms))
            if len(waiting) > MAX_WAITING:
                self._waiting[place] = deque(list(waiting)[1::2])

    def reach(self, positions: Mapping[PartitionId, int]) -> dict[PartitionId, int]:
        """Return the partitions that have passed heartbeats since this was last asked, and the newest time of each.

        Args:
            positions: the next offset to be read of each partition, all before it being read and committed.
        """
        moved = {}
        for place, position in positions.items():
            waiting, newest = self._waiting.get(place), -1
            while waiting and waiting[0].end <= position:
                newest = max(newest, waiting.popleft().time_ms)
            if newest > self._passed.get(place, -1):
                self._passed[place] = moved[place] = newest
        return moved

    def oldest(self, places: Iterable[PartitionId]) -> int | None:
        """Return the time up to which all of some partitions are complete; None where one is not known to be."""
        times = [self._passed.get(place) for place in places]
        return None if not times or None in times else min(time for time in times if time is not None)


class InternalWatermarks:
    """Stage 2: up to which time all source partitions are joined into what was read of the internal topic.

    Args:
        sources: every source partition, whoever reads it.
    """

    def __init__(self, sources: Iterable[PartitionId]) -> None:
        self._sources = frozenset(sources)
        self._times: dict[int, dict[PartitionId, int]] = {}
        self._given: dict[int, int] = {}

    def hear(self, partition: int, times: Mapping[PartitionId, int]) -> int | None:
        """Take in what a joiner said; return the time up to which a partition is complete, where that is news.

        Args:
            partition: of the internal topic; all that came before these words in it is applied and committed.
            times: source partition -> the time up to which it is complete.
        """
        heard = self._times.setdefault(partition, {})
        for place in self._sources & times.keys():
            heard[place] = max(times[place], heard.get(place, -1))
        if len(heard) < len(self._sources):
            return None
        oldest = min(heard.values(), default=-1)
        if oldest <= self._given.get(partition, -1):
            return None
        self._given[partition] = oldest
        return oldest


def encode_watermarks(times: Mapping[PartitionId, int]) -> bytes:
    """Return times as they travel in `user-info-changes`: a JSON array; `decode_watermarks` reads it."""
    return orjson.dumps([[topic, partition, time_ms] for (topic, partition), time_ms in times.items()])


def decode_watermarks(value: bytes) -> dict[PartitionId, int]:
    """Return the times that `encode_watermarks` wrote."""
    return {(topic, partition): time_ms for topic, partition, time_ms in orjson.loads(value)}
