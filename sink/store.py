"""What a sink asks of a store that it keeps the view in."""

from collections.abc import Mapping
from typing import Literal, Protocol

from replication.records import Record
from sink.state import CopyState

Copy = Literal["live", "next"]
"""The copy that programs read, and the one that is being built where they do not see it."""


class Store(Protocol):
    """Holds copies of the topic; each call is one transaction of the store's, or nothing.

    Every call may raise StoreUnavailable, and StoreChanged where the store does not hold what this sink has written
    last. Only the thread that follows the topic uses it.
    """

    name: str
    """As messages call it, such as ``the table user_information``."""

    remedy: str
    """What makes a sink begin from nothing, as words."""

    def open(self) -> None:
        """Connect, and claim what is to be written, for as long as this is open.

        Raises:
            Claimed: another sink has it.
            ForeignData: somebody else's data is there.
        """

    def close(self) -> None:
        """Give up the claim, and disconnect; safe to call at any time."""

    def keep_claim(self) -> None:
        """Say that this sink is still there, if that has not been said for a second."""

    def read(self, copy: Copy, /) -> CopyState | None:
        """Return the state of a copy; None if there is none."""

    def begin(self, state: CopyState, /) -> None:
        """Begin the next copy, in place of one that was not finished."""

    def apply(self, copy: Copy, state: CopyState, records: Mapping[bytes, Record], /) -> None:
        """Apply records, together with the state that follows.

        Args:
            copy: which.
            state: after them.
            records: key -> the newest record of each user of the batch.

        Raises:
            StoreFull: nothing of it is applied.
            BeginAnew: the copy has no place for records of this shape.
        """

    def publish(self, state: CopyState, /) -> None:
        """Put the next copy in the place of the live one, at once for whoever reads.

        Raises:
            StoreFull: nothing has changed.
            ForeignData: something that depends on the live copy does not allow it.
        """

    def count_refused(self, copy: Copy, /) -> int:
        """Return how many users a copy lacks because their records cannot be stored; the store names them."""
