"""A record of the topic, and how it is stored: with its position in the topic in front of its body."""

import struct
from typing import NamedTuple

FORMAT = 1
"""Version of what a store writes; data of another version is not read but rebuilt."""

HEADER = struct.Struct(">IQq")
"""In front of each body: the record's partition, offset and source time in epoch ms."""

UNKNOWN_TIME_MS = -1
"""In place of a source time that a record does not carry."""


class Record(NamedTuple):
    """One record of the topic; a tombstone, whose value is None, deletes the key.

    Args:
        timestamp_ms: source time of the newest change in it, epoch ms; UNKNOWN_TIME_MS where it has none.
    """

    key: bytes
    value: bytes | None
    partition: int
    offset: int
    timestamp_ms: int


def decode_record(key: bytes | memoryview, stored: bytes | memoryview) -> Record:
    """Return a record from what is stored under its key."""
    partition, offset, timestamp_ms = HEADER.unpack_from(stored)
    return Record(bytes(key), bytes(stored[HEADER.size :]), partition, offset, timestamp_ms)
