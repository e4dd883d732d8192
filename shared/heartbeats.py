"""Heartbeats in `user-info`: what the joiner writes next to the records, and what they promise to a reader.

A heartbeat with time T in a partition promises: of all changes at the source up to T, those of the users in one part
(partition of `user-info-changes`) have been written before it. Several parts may feed a partition; the oldest of their
newest heartbeats holds for the whole partition. Pure: knows nothing of Kafka, nor of who writes or reads.
"""

import json
from typing import NamedTuple

from shared.parts import parse_part, part_key
from shared.records import RESERVED_KEY_PREFIX

HEARTBEAT_PREFIX = RESERVED_KEY_PREFIX + b"heartbeat/"


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
        return part_key(HEARTBEAT_PREFIX, self.part, self.parts)

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
    found = parse_part(HEARTBEAT_PREFIX, key, value)
    if found is None:
        return None
    part, parts, document = found
    time_ms = document.get("sourceTimeMs")
    return Heartbeat(part, parts, time_ms) if type(time_ms) is int else None
