"""Decides whether the joiner begins again once more, after Kafka broke its loop off.

Guarantees: whatever the order of errors, no record is tried without end. What an attempt has committed counts as
progress only for the partitions that it is about: where one is stuck, commits of others do not hide it.
"""

from collections.abc import Mapping

from confluent_kafka import KafkaException

from joiner.background.progress import CommittedProgress, Uncommitted
from joiner.core.records import PartitionId
from shared.errors import Interrupted, KafkaError, Refused

FRUITLESS_ATTEMPTS = 5
"""Attempts in a row without progress, in all or in one partition, before the process gives up."""


class Attempts:
    """The attempts of one process so far. Used by the main thread, while no loop runs."""

    def __init__(self) -> None:
        self._fruitless = 0
        self._stuck: dict[PartitionId, tuple[int, int]] = {}
        """Partition -> up to where it was committed when it was last broken off, and how often that has been so."""
        self._refused: Mapping[PartitionId, Uncommitted] | None = None
        """What had been read when Kafka last refused something, until all of it is committed; nothing: for ever."""

    def note_end(self, error: Interrupted | KafkaException, progress: CommittedProgress) -> int:
        """Note how an attempt ended.

        Args:
            error: what broke it off.
            progress: what it has read and committed.

        Returns:
            How many seconds to wait before the next one.

        Raises:
            KafkaError: there should be none.
        """
        if self._refused and all(progress.reached(each) > was.last for each, was in self._refused.items()):
            self._refused = None
        uncommitted = progress.find_uncommitted()
        if isinstance(error, Refused):
            if self._refused is not None:
                # An attempt after that one had all topics checked, and its own records cut to what they allow.
                raise KafkaError(error.what, error.hint) from error
            self._refused = uncommitted
        self._fruitless = 0 if progress.commits else self._fruitless + 1
        if self._fruitless == FRUITLESS_ATTEMPTS:
            raise KafkaError(
                f"{error}; nothing was committed in {FRUITLESS_ATTEMPTS} attempts", hint="start it again"
            ) from error
        return max([self._fruitless, *(self._note_stuck(error, each, left) for each, left in uncommitted.items())])

    def _note_stuck(self, error: Exception, partition_id: PartitionId, left: Uncommitted) -> int:
        """Return in how many attempts before this one a partition was broken off at the same place."""
        committed, before = self._stuck.get(partition_id, (-1, 0))
        before = before if left.committed <= committed else 0
        self._stuck[partition_id] = left.committed, before + 1
        if before + 1 == FRUITLESS_ATTEMPTS:
            topic, partition = partition_id
            raise KafkaError(
                f"{error}; nothing of {topic}[{partition}] from offset {left.committed} on was committed in"
                f" {FRUITLESS_ATTEMPTS} attempts",
                hint="look for the reason in the brokers' logs, then start it again",
            ) from error
        return before
