"""A record of the topic, with its position there. Pure."""

from typing import NamedTuple

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
