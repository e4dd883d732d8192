"""What a store may answer that is no bug: the sink waits, begins another session, or ends."""

from shared.errors import StateError, UserInformationError


class StoreUnavailable(UserInformationError):  # noqa: N818 - a state of the store, not a fault of ours
    """The store cannot be reached, or serves no writes for now; what was sent last may or may not be in it."""


class StoreFull(UserInformationError):  # noqa: N818
    """The store has no room; nothing of the batch is in it."""


class StoreChanged(UserInformationError):  # noqa: N818
    """The store holds something older than what this sink has written: it went back in time, or was emptied."""


class Claimed(UserInformationError):  # noqa: N818
    """Another sink writes what this one would write; names it."""


class BeginAnew(UserInformationError):  # noqa: N818
    """The copy cannot go on: its records have another shape from here on, and another copy must be begun for it.

    Args:
        what: why.
        shape: the value of the record that says it, and when that was written.
    """

    def __init__(self, what: str, shape: tuple[bytes, int]) -> None:
        super().__init__(what)
        self.shape = shape


class ForeignData(StateError):  # noqa: N818 - reads as what it reports
    """What the sink would write to belongs to somebody else."""
