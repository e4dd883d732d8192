"""A store as it is at one moment. Pure; the code that serves clients knows this and no store."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from shared.shards import Share

RunBetweenReads = Callable[[Callable[[], None]], None]
"""Runs a function in the thread that reads the store, while no read is under way, and returns when it has run."""


class StoredRecord(NamedTuple):
    """A record as it is stored.

    Args:
        partition: of the topic.
        offset: in that partition.
        timestamp_ms: source time of the newest change in it, epoch ms; UNKNOWN_TIME_MS where it has none.
        body: what is served.
    """

    partition: int
    offset: int
    timestamp_ms: int
    body: bytes


class ReadView(Protocol):
    """The store as it was at one moment; to be closed soon, since until then the store keeps all that it shows."""

    @property
    def tag(self) -> bytes:
        """Name of the topic that the store is a copy of; offsets of different tags must not be compared."""

    @property
    def partitions(self) -> int | None:
        """How many partitions CRC-32 places all keys in; None where that is not known, or not so."""

    @property
    def share(self) -> Share | None:
        """The part of the topic that the store is a copy of; None where it is all of the topic, or not known yet."""

    @property
    def shape(self) -> bytes | None:
        """The shape of the records, as `shared.shape` reads it; None where the topic says none."""

    def find(self, key: bytes) -> StoredRecord | None:
        """Return a key's record; None if there is none."""

    def position(self, partition: int) -> int | None:
        """Return the next offset to read of a partition; None if nothing was read of it."""

    def close(self) -> None:
        """End the view."""
