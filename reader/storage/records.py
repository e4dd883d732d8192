"""A record of the topic, and how it is stored: with its position in the topic in front of its body."""

import struct
from typing import NamedTuple

FORMAT = 1
"""Version of what a store writes; data of another version is not read but rebuilt."""

HEADER = struct.Struct(">IQq")
"""In front of each body: the record's partition, offset and timestamp in epoch ms."""


class Record(NamedTuple):
    """One record of the topic; a tombstone, whose value is None, deletes the key."""

    key: bytes
    value: bytes | None
    partition: int
    offset: int
    timestamp_ms: int


def decode_record(key: bytes | memoryview, stored: bytes | memoryview) -> Record:
    """Return a record from what is stored under its key."""
    partition, offset, timestamp_ms = HEADER.unpack_from(stored)
    return Record(bytes(key), bytes(stored[HEADER.size :]), partition, offset, timestamp_ms)
