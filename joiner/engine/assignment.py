"""Which partitions this process owns, and up to where each of them is committed.

Knows what the group has committed and nothing of what was read since.
"""

import time
from collections.abc import Iterable

from confluent_kafka import TopicPartition

from joiner.background.progress import CommittedProgress
from joiner.core.compatibility import PartitionId
from joiner.engine.open_checkpoint import ClosingCheckpoint


class Assignment:
    """The partitions of this process, without those of changelogs.

    Read and written by the loop's thread alone: Kafka's client calls back in it, during a poll. Other threads read
    CommittedProgress, which receives every change made here.

    Args:
        progress: receives what is committed.
    """

    def __init__(self, progress: CommittedProgress) -> None:
        self.progress = progress
        self.received = False
        """True once the group has assigned anything, even nothing: where there are more joiners than partitions."""
        self.committed: dict[PartitionId, int] = {}
        """Owned partition -> the next offset to be read by what is committed."""
        self.first_read: set[PartitionId] = set()
        """Partitions of which the group had read nothing, until they are read to their ends."""

    def assign(self, committed: Iterable[TopicPartition]) -> None:
        """Own partitions, and no others.

        Args:
            committed: each with the group's committed offset, negative where it has none.
        """
        committed = list(committed)
        self.committed = {(tp.topic, tp.partition): max(tp.offset, 0) for tp in committed}
        self.first_read = {(tp.topic, tp.partition) for tp in committed if tp.offset < 0}
        self.progress.assign(self.committed)
        for partition, offset in self.committed.items():
            # Its last owner may not have come to trim it.
            self.progress.note_consumed(partition, offset)

    def give_up(self, partitions: Iterable[TopicPartition]) -> None:
        """Own some partitions no longer."""
        for tp in partitions:
            self.committed.pop((tp.topic, tp.partition), None)
        self.progress.assign(self.committed)

    def give_up_all(self) -> None:
        """Own nothing any more."""
        self.committed.clear()
        self.progress.assign({})

    def note_commit(self, committed: ClosingCheckpoint) -> None:
        """Note what a checkpoint has committed."""
        self.progress.commits += 1
        self.progress.committed_at = time.monotonic()
        for partition, offset in committed.offsets.items():
            self.progress.note_consumed(partition, offset + 1)
            self.progress.note_position(partition, offset + 1)
            if partition in self.committed:
                self.committed[partition] = offset + 1
        for partition, end in committed.ends.items():
            self.progress.note_position(partition, end)
        self.progress.note_watermarks(committed.watermarks)

    def trailing_markers(self, topic: str) -> dict[PartitionId, int]:
        """Return the last offsets of partitions of a topic behind which only markers of transactions were read."""
        positions = {each: self.progress.position(each) for each in self.committed if each[0] == topic}
        return {each: position - 1 for each, position in positions.items() if position > self.committed[each]}
