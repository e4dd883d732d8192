"""Heartbeats in `user-info`: what the joiner writes next to the records, and what they promise to a reader.

A heartbeat with time T in a partition promises: of all changes at the source up to T, those of the users in one part
(partition of `user-info-changes`) have been written before it. Several parts may feed a partition; the oldest of their
newest heartbeats holds for the whole partition. Pure: knows nothing of Kafka, nor of who writes or reads.
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
        part: the partition of `user-info-changes` that it is about.
        parts: how many partitions `user-info-changes` has.
        time_ms: source time up to which all changes of that part are written, epoch ms.
    """

    part: int
    parts: int
    time_ms: int

    @property
    def key(self) -> bytes:
        """The record's key: compaction keeps the newest heartbeat of each part."""
        return HEARTBEAT_PREFIX + b"%d/%d" % (self.part, self.parts)

    @property
    def value(self) -> bytes:
        """The record's value: a JSON object."""
        return json.dumps({"sourceTimeMs": self.time_ms}).encode()


def parse_heartbeat(key: bytes, value: bytes | None) -> Heartbeat | None:
    """Return the heartbeat in a record of `user-info`; None if the record is not one, or is a tombstone.

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

    Both topics place a user by the same number, the CRC-32 of the key, modulo their own partition counts. So a part and
    a partition share users where their numbers agree modulo the greatest common divisor of the counts.

    Args:
        partition: of user-info.
        partitions: how many user-info has.
        parts: how many partitions user-info-changes has.
    """
    common = math.gcd(partitions, parts)
    return range(partition % common, parts, common)


def partitions_of(part: int, partitions: int, parts: int) -> range:
    """Return the partitions of `user-info` that hold users of a part: the inverse of `parts_of`."""
    return parts_of(part, parts, partitions)
