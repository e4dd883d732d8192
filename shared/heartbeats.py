"""Heartbeats in `user-info`: what the joiner writes beside the records, and how a reader tells what they promise.

A heartbeat of time T in a partition says: of all that changed at the source up to T, what concerns users of one part of
`user-info-changes` has been written before it. As many parts feed a partition as its users are spread over; what holds
for the partition is the oldest of their newest heartbeats. Pure; knows nothing of Kafka, nor of who writes or reads.
"""

import json
import math
import re
from typing import NamedTuple

from shared.records import RESERVED_KEY_PREFIX

HEARTBEAT_PREFIX = RESERVED_KEY_PREFIX + b"heartbeat/"

KEY = re.compile(re.escape(HEARTBEAT_PREFIX) + rb"([0-9]{1,9})/([0-9]{1,9})")


class Heartbeat(NamedTuple):
    """One heartbeat.

    Args:
        part: the partition of `user-info-changes` that it speaks for.
        parts: how many there are.
        time_ms: source time up to which everything of that part is shown, epoch ms.
    """

    part: int
    parts: int
    time_ms: int

    @property
    def key(self) -> bytes:
        """The record's key: compaction keeps the newest of each part."""
        return HEARTBEAT_PREFIX + b"%d/%d" % (self.part, self.parts)

    @property
    def value(self) -> bytes:
        """The record's value: a JSON object."""
        return json.dumps({"sourceTimeMs": self.time_ms}).encode()


def parse_heartbeat(key: bytes, value: bytes | None) -> Heartbeat | None:
    """Return the heartbeat that a record of `user-info` is; None where it is none, or deletes one.

    Args:
        key: the record's key.
        value: the record's value.
    """
    named = KEY.fullmatch(key)
    if named is None or value is None:
        return None
    part, parts = int(named[1]), int(named[2])
    try:
        document = json.loads(value)
    except ValueError:
        return None
    time_ms = document.get("sourceTimeMs") if isinstance(document, dict) else None
    return Heartbeat(part, parts, time_ms) if type(time_ms) is int and part < parts else None


def parts_of(partition: int, partitions: int, parts: int) -> range:
    """Return the parts of `user-info-changes` that have users in a partition of `user-info`.

    Both topics place a user by the same number, its key's CRC-32, modulo their own counts; so users of a part lie where
    the two agree modulo what the counts have in common.

    Args:
        partition: of user-info.
        partitions: how many user-info has.
        parts: how many partitions user-info-changes has.
    """
    common = math.gcd(partitions, parts)
    return range(partition % common, parts, common)


def partitions_of(part: int, partitions: int, parts: int) -> range:
    """Return the partitions of `user-info` that hold users of a part: the other way round."""
    return parts_of(part, parts, partitions)
