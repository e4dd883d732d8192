"""Hands the stores of users to joiner.queries for as long as they are this process's, and has Kafka confirm that.

What may be answered is decided there. Here a commit is the confirmation, and an idle joiner makes one for it.
"""

from collections.abc import Callable

from joiner.engine.assignment import Assignment
from joiner.engine.open_checkpoint import Checkpoints
from joiner.queries.held_parts import HeldParts, ReadStore
from shared.clock import Moment


class Serving:
    """Used by the loop's thread alone; HeldParts is shared with the threads of requests.

    Args:
        held: what may be answered for.
        topic: the internal one, whose partitions are the parts.
        assignment: the partitions of this process.
        checkpoints: the open one, and what was committed.
        open_store: returns what reads a part's store, which is restored.
    """

    def __init__(
        self,
        held: HeldParts,
        topic: str,
        assignment: Assignment,
        checkpoints: Checkpoints,
        open_store: Callable[[int], ReadStore],
    ) -> None:
        self._held = held
        self._topic = topic
        self._assignment = assignment
        self._checkpoints = checkpoints
        self._open_store = open_store
        self._is_open = False

    def assign(self) -> None:
        """Have nothing answered before the stores are restored; to be called when partitions are assigned."""
        self._is_open = False
        self._held.assign()

    def release(self) -> None:
        """Have nothing answered any more; the stores may be closed afterwards."""
        self._is_open = False
        self._held.release()

    def confirm(self, since: Moment) -> None:
        """Note that a commit has succeeded which began at a moment."""
        if self._is_open:
            self._held.confirm(since)

    def carry_on(self) -> None:
        """Have users answered for; to be called in each turn, not right behind a poll: there stores may be unrestored.

        Where nothing else is to be committed, have an offset committed again once a confirmation is due.
        """
        parts = {
            number: offset for (topic, number), offset in self._assignment.next_offsets.items() if topic == self._topic
        }
        if not self._is_open and self._assignment.was_assigned:
            self._is_open = True
            self._held.open({part: self._open_store(part) for part in parts}, self._assignment.progress.has_joined)
        if self._held.needs_confirmation() and self._checkpoints.open is None:
            part = min(parts)
            self._checkpoints.current().state_position(self._topic, part, parts[part])
