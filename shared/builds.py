"""Marks in `user-info` of how far a build is: what the joiner writes next to the records, and what they tell readers.

A build begins with a mark of every part (partition of `user-info-changes`), before its first record, in each partition
of `user-info` that the part feeds (see `shared.parts.partitions_of`). A part's newest mark counts. Where it says
`whole`, the part's records in that partition are whole values only: the build is behind it, or the values from before
it stand until new ones are whole. A topic without any mark counts as whole; where there are marks, a part without one
does not. Pure: knows nothing of Kafka, nor of who writes or reads.
"""

import json
import math
from typing import NamedTuple

from shared.parts import parse_part, part_key
from shared.records import RESERVED_KEY_PREFIX

BUILD_PREFIX = RESERVED_KEY_PREFIX + b"build/"


class BuildMark(NamedTuple):
    """One part's mark.

    Args:
        part: the partition of `user-info-changes` that it is about.
        parts: how many partitions `user-info-changes` has.
        build: names the build.
        whole: whether all values of that part in the mark's partition are whole.
        percent: how much of the build is done, 0 to 100; None where none is under way, or that is not known.
        seconds_left: until its end; None where that is not known.
        waits_for: what it waits for, as a message; None where nothing is to be said.
    """

    part: int
    parts: int
    build: str
    whole: bool
    percent: float | None = None
    seconds_left: float | None = None
    waits_for: str | None = None

    @property
    def key(self) -> bytes:
        """The record's key: compaction keeps the newest mark of each part."""
        return part_key(BUILD_PREFIX, self.part, self.parts)

    @property
    def value(self) -> bytes:
        """The record's value: a JSON object."""
        document = {
            "build": self.build,
            "whole": self.whole,
            "percent": self.percent,
            "secondsLeft": self.seconds_left,
            "waitsFor": self.waits_for,
        }
        return json.dumps(document).encode()


def parse_mark(key: bytes, value: bytes | None) -> BuildMark | None:
    """Return the mark in a record of `user-info`; None if the record is not one, or is a tombstone.

    What a mark says of progress only informs people, so what cannot be read of that is left out.

    Args:
        key: the record's key.
        value: the record's value.
    """
    found = parse_part(BUILD_PREFIX, key, value)
    if found is None:
        return None
    part, parts, document = found
    build, whole, waits_for = document.get("build"), document.get("whole"), document.get("waitsFor")
    if not isinstance(build, str) or not isinstance(whole, bool):
        return None
    percent, seconds_left = _read_number(document.get("percent")), _read_number(document.get("secondsLeft"))
    return BuildMark(
        part, parts, build, whole, percent, seconds_left, waits_for if isinstance(waits_for, str) else None
    )


def _read_number(value: object) -> float | None:
    """Return a number from 0 on; None of anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < math.inf else None
