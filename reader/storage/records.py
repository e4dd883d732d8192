"""How a record of the topic is stored: with its position in the topic in front of its body."""

import struct

from replication.records import Record

FORMAT = 1
"""Version of what a store writes; data of another version is not read but rebuilt."""

HEADER = struct.Struct(">IQq")
"""In front of each body: the record's partition, offset and source time in epoch ms."""


def decode_record(key: bytes | memoryview, stored: bytes | memoryview) -> Record:
    """Return a record from what is stored under its key."""
    partition, offset, timestamp_ms = HEADER.unpack_from(stored)
    return Record(bytes(key), bytes(stored[HEADER.size :]), partition, offset, timestamp_ms)
