"""Writes one copy: the topic's batches, and when it last held all of them. Knows neither Kafka's client nor a store."""

import logging

from replication.batch import Batch
from replication.freshness import Freshness
from replication.wholeness import Wholeness
from shared.clock import to_epoch_ms
from shared.shards import Share
from sink.errors import StoreFull
from sink.metrics import Metrics
from sink.state import CopyState
from sink.store import Copy, Store

logger = logging.getLogger(__name__)


class SinkWriter:
    """The only writer of a copy.

    Args:
        store: where the copy is.
        copy: which it is.
        state: of the copy, as the store has it.
        share: the part of its topic that it is a copy of.
        metrics: where batches are counted.
    """

    def __init__(self, store: Store, copy: Copy, state: CopyState, share: Share, metrics: Metrics) -> None:
        self.copy = copy
        self.state = state
        self.full_reason: str | None = None
        self._store = store
        self._share = share
        self._metrics = metrics
        self._note_reserved()

    def _note_reserved(self) -> None:
        self.wholeness = Wholeness(self._share)
        for partition, mark in self.state.marks():
            self.wholeness.note(partition, mark)
        self.freshness = Freshness(self._share)
        for partition, heartbeat in self.state.heartbeats():
            self.freshness.note(partition, heartbeat)

    def apply(self, batch: Batch) -> bool:
        """Apply a batch; return False if the store is full: the same batch must be tried again later.

        Raises:
            StoreUnavailable, StoreChanged, BeginAnew: as of `Store.apply`.
        """
        latest = {record.key: record for record in batch.records}
        reserved = [*(heartbeat.record for heartbeat in batch.heartbeats), *batch.shapes, *batch.marks]
        state = self.state.follow(batch.offsets, reserved, has_users=bool(latest))
        try:
            with self._metrics.batch_seconds.time():
                self._store.apply(self.copy, state, latest)
        except StoreFull as full:
            self.full_reason = str(full)
            return False
        self.full_reason, self.state = None, state
        self._metrics.records.inc(len(batch.records))
        if reserved:
            self._note_reserved()
        return True

    @property
    def is_void(self) -> bool:
        """Whether the copy has neither had a user nor a mark: the topic may have been created a moment ago."""
        return self.wholeness.whole is None and not self.state.has_users

    def count_skipped(self, records: int) -> None:
        """Count records whose keys are not ids."""
        self._metrics.skipped.inc(records)

    def save(self, complete_at: float | None, *, whole: bool) -> None:
        """Note when the copy last held all of the topic.

        Args:
            complete_at: that time, on the monotonic clock; None if the copy has not caught up yet.
            whole: whether it counts as whole from then on. One that does not has begun only then, so that no build is
                too long for the topic's memory of deletions.
        """
        if complete_at is None:
            return
        state = self.state.note_complete(to_epoch_ms(complete_at), whole=whole)
        try:
            self._store.apply(self.copy, state, {})
        except StoreFull as full:
            self.full_reason = str(full)
        else:
            self.full_reason, self.state = None, state

    def publish(self) -> None:
        """Have the store show this copy in place of the live one.

        Raises:
            StoreUnavailable, StoreChanged, StoreFull, ForeignData: as of `Store.publish`.
        """
        self._store.publish(self.state)
        self.copy = "live"
        logger.info("%s shows the topic from now on", self._store.name)
