"""What the store shows of itself at one moment, whoever looks. Pure."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

RunBetweenReads = Callable[[Callable[[], None]], None]
"""Runs a function in the thread that reads the store, while no read is under way, and returns when it has run."""


class StoredRecord(NamedTuple):
    """A record as it lies in the store.

    Args:
        partition: of the topic.
        offset: in that partition.
        timestamp_ms: source time of the newest change in it, epoch ms.
        body: what is served.
    """

    partition: int
    offset: int
    timestamp_ms: int
    body: bytes


class ReadView(Protocol):
    """The store as it is at one moment; to be closed soon, since the store keeps what it shows until then."""

    @property
    def tag(self) -> bytes:
        """Name of the topic that the store is a copy of, so that no two topics' offsets are taken for one another."""

    def find(self, key: bytes) -> StoredRecord | None:
        """Return a key's record; None where there is nothing."""

    def position(self, partition: int) -> int | None:
        """Return the offset up to which a partition is held; None where nothing was read of it."""

    def close(self) -> None:
        """Let go of the moment."""
