"""Which partitions this process owns, and up to where each of them is committed.

Knows what the group has committed and nothing of what was read since.
"""

import time
from collections.abc import Iterable

from confluent_kafka import TopicPartition

from joiner.background.progress import CommittedProgress
from joiner.core.records import PartitionId
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
        self.was_assigned = False
        """True once the group has assigned anything, even nothing, as when there are more joiners than partitions."""
        self.next_offsets: dict[PartitionId, int] = {}
        """Owned partition -> the next offset to read, as committed."""
        self.first_read: set[PartitionId] = set()
        """Partitions of which the group had read nothing, until they are read to their ends."""

    def assign(self, assigned: Iterable[TopicPartition]) -> None:
        """Own partitions, and no others.

        Args:
            assigned: each with the group's committed offset, negative if it has none.
        """
        assigned = list(assigned)
        self.next_offsets = {(tp.topic, tp.partition): max(tp.offset, 0) for tp in assigned}
        self.first_read = {(tp.topic, tp.partition) for tp in assigned if tp.offset < 0}
        self.progress.assign(self.next_offsets)
        for partition, offset in self.next_offsets.items():
            # Its last owner may not have had time to trim it.
            self.progress.note_consumed(partition, offset)

    def release(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop owning these partitions."""
        for tp in partitions:
            self.next_offsets.pop((tp.topic, tp.partition), None)
        self.progress.assign(self.next_offsets)

    def release_all(self) -> None:
        """Stop owning any partition."""
        self.next_offsets.clear()
        self.progress.assign({})

    def note_commit(self, checkpoint: ClosingCheckpoint) -> None:
        """Note what a checkpoint has committed."""
        self.progress.commits += 1
        self.progress.committed_at = time.monotonic()
        for partition, offset in checkpoint.offsets.items():
            self.progress.note_consumed(partition, offset + 1)
            self.progress.note_position(partition, offset + 1)
            if partition in self.next_offsets:
                self.next_offsets[partition] = offset + 1
        for partition, end in checkpoint.ends.items():
            self.progress.note_position(partition, end)
        self.progress.note_watermarks(checkpoint.watermarks)
        self.progress.note_parts(checkpoint.builds)

    def find_trailing_markers(self, topic: str) -> dict[PartitionId, int]:
        """Return the last offsets of partitions of a topic behind which only markers of transactions were read."""
        positions = {each: self.progress.position(each) for each in self.next_offsets if each[0] == topic}
        return {each: position - 1 for each, position in positions.items() if position > self.next_offsets[each]}
