"""What a session asks of whoever writes the copy."""

from typing import Protocol

from replication.batch import Batch
from replication.wholeness import Wholeness


class CopyWriter(Protocol):
    """The only writer of a copy: applies batches, each with its next offsets, and keeps notes."""

    @property
    def wholeness(self) -> Wholeness:
        """Whether what the copy holds is whole values only, by the marks in it."""

    @property
    def is_void(self) -> bool:
        """Whether the copy has neither a user nor a mark."""

    @property
    def full_reason(self) -> str | None:
        """Why nothing can be written for now, as a message; None if it can."""

    def apply(self, batch: Batch, /) -> bool:
        """Apply a batch; return False if the same batch must be tried again later, for `full_reason`."""

    def count_skipped(self, records: int, /) -> None:
        """Count records whose keys are not ids."""

    def save(self, complete_at: float | None, /, *, whole: bool) -> None:
        """Note when the copy last held all of the topic, on the monotonic clock; None: not yet.

        Args:
            complete_at: that time.
            whole: whether it counts as whole from then on, whatever follows.
        """
