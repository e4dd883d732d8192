"""Measures the consumer lag of this process, in records and in seconds.

The client knows the high watermarks of its partitions from its last fetch, so measuring asks Kafka for nothing.
"""

import time

from confluent_kafka import TopicPartition
from quixstreams.internal_consumer import InternalConsumer

from joiner.context import Context
from joiner.core.records import PartitionId
from joiner.engine.assignment import Assignment
from shared.clock import now_ms


class LagMeter:
    """Measures what is still to be read of the assigned partitions. Used by the loop's thread alone.

    Args:
        context: its settings name the topics, its metrics take the lags.
        consumer: knows the high watermarks.
        assignment: the partitions to measure; its progress receives which of them are read to their ends.
    """

    def __init__(self, context: Context, consumer: InternalConsumer, assignment: Assignment) -> None:
        settings = context.settings
        self._metrics = context.metrics
        self._topics = (*settings.sources, settings.user_info_changes_topic)
        self._consumer = consumer
        self._assignment = assignment
        self._progress = assignment.progress
        self.read_ms: dict[str, int] = {}
        """Topic -> time of the last record read of it; written by the loop."""

    def measure(self) -> None:
        """Measure the lags; to be called when everything that was read is committed."""
        time_ms = now_ms()
        lags = dict.fromkeys(self._topics, 0)
        for partition in self._assignment.next_offsets:
            lags[partition[0]] += self._lag(partition, time_ms)
        if not any(lags.values()):
            self._progress.committed_at = time.monotonic()
        for topic, lag in lags.items():
            age_seconds = (time_ms - self.read_ms.get(topic, time_ms)) / 1000 if lag else 0.0
            self._metrics.lag_records.labels(topic).set(lag)
            self._metrics.lag_seconds.labels(topic).set(max(age_seconds, 0.0))

    def _lag(self, partition: PartitionId, time_ms: int) -> int:
        _, high = self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)
        # Not the client's position, which is one too far once it has reported an end (librdkafka 2.12.1).
        position = self._progress.position(partition)
        if 0 <= high <= position:
            self._progress.note_caught_up(partition, time_ms)
        return max(high - position, 0)
