"""Writes one copy: its topic's batches, and when it last held all of them. Knows neither Kafka's client nor LMDB."""

import logging
import time
from collections.abc import Sequence

from reader.status.counters import ApplyCounters
from reader.storage.errors import MapFullError, StoreFullError
from reader.storage.read_view import RunBetweenReads
from reader.storage.store import Store
from replication.batch import Batch
from replication.freshness import Freshness
from replication.records import Record
from replication.wholeness import Wholeness
from shared.clock import now_ms, to_epoch_ms
from shared.errors import TopicError
from shared.shards import Share
from shared.topics import partition_of

logger = logging.getLogger(__name__)

MISPLACED = (
    "the record at offset %d of partition %d is not where CRC-32 of its key places it, so answers about absent users go"
    " without User-Info-Offset; the joiner alone should write user-info"
)

UNSHARDABLE = (
    "the record at offset %d of partition %d is not where CRC-32 of its key places it, so a shard of the partitions is"
    " no shard of the users; have the joiner alone write user-info, or go without READER_SHARD"
)


class CopyWriter:
    """The only writer of a copy. Everything here belongs to the replicator thread.

    Args:
        store: the copy.
        share: the part of its topic that it is a copy of.
        run_between_reads: lets the map grow, which must not happen during a read.
        counters: where batches are counted.
    """

    def __init__(self, store: Store, share: Share, run_between_reads: RunBetweenReads, counters: ApplyCounters) -> None:
        self.store = store
        self.freshness = read_freshness(store, share)
        self.wholeness = read_wholeness(store, share)
        self.full_reason: str | None = None
        self._share = share
        self._knows_misplaced = bool(store.note("misplaced"))
        self._run_between_reads = run_between_reads
        self._counters = counters
        self._sync_on_save = False

    def apply(self, batch: Batch) -> bool:
        """Apply a batch; return False if the disk is full: the same batch must be tried again later.

        Raises:
            TopicError: the copy is one of a shard, and another partitioner has placed a record: users may be anywhere.
            DamagedError: the copy cannot be used any more.
        """
        reserved = [*(heartbeat.record for heartbeat in batch.heartbeats), *batch.shapes, *batch.marks]
        while True:
            began = time.perf_counter()
            try:
                self._note_misplaced(batch.records)
                self.store.apply(batch.records, batch.offsets, reserved)
            except MapFullError:
                self._run_between_reads(self.store.grow)
            except StoreFullError as full:
                self.full_reason = str(full)
                return False
            else:
                self._note_applied(batch, time.perf_counter() - began)
                return True

    def _note_misplaced(self, records: Sequence[Record]) -> None:
        """Have the copy say that another partitioner has placed a record, before the first such one is applied."""
        if self._knows_misplaced:
            return
        for record in records:
            if partition_of(record.key, self._share.partitions) != record.partition:
                if self._share.shard is not None:
                    raise TopicError(UNSHARDABLE % (record.offset, record.partition), "build the topic anew")
                self.store.write_notes(misplaced=True)
                self._knows_misplaced = True
                logger.warning(MISPLACED, record.offset, record.partition)
                return

    def _note_applied(self, batch: Batch, seconds: float) -> None:
        self.full_reason = None
        self._counters.count_batch(batch.records, seconds)
        for heartbeat, record in batch.heartbeats:
            self.freshness.note(record.partition, heartbeat)
        if batch.marks:
            self.wholeness = read_wholeness(self.store, self._share)
        self._counters.count_ages(batch.oldest_ms, now_ms())
        self._counters.replayed += len(batch.records) - len(batch.oldest_ms)

    @property
    def is_void(self) -> bool:
        """Whether the copy has neither a user nor a mark: the topic may have been created a moment ago."""
        return self.wholeness.whole is None and self.store.count() == 0

    def count_skipped(self, records: int) -> None:
        """Count records whose keys are not ids."""
        self._counters.skipped += records

    def save(self, complete_at: float | None, *, whole: bool) -> None:
        """Note when the copy last held all of the topic, and sync it to disk.

        Does not wait for the disk on the first save as a whole copy, which is when it goes live, nor before.

        Args:
            complete_at: that time, on the monotonic clock; None if the copy has not caught up yet.
            whole: whether the copy may be served from then on, whatever follows. One that may not be served has begun
                only then, so that no build is too long for the topic's memory of deletions.
        """
        try:
            if complete_at is not None:
                self.store.write_notes(**{"complete" if whole else "begun": to_epoch_ms(complete_at)})
            if self._sync_on_save:
                self.store.sync()
        except MapFullError:
            self._run_between_reads(self.store.grow)
            self.save(complete_at, whole=whole)
        except StoreFullError as full:
            self.full_reason = str(full)
        else:
            self._sync_on_save = whole
            self.full_reason = None


def read_freshness(store: Store, share: Share) -> Freshness:
    """Return how fresh a copy is, by the heartbeats that it holds.

    Args:
        store: the copy.
        share: the part of its topic that it is a copy of.
    """
    freshness = Freshness(share)
    for partition, heartbeat in store.heartbeats():
        freshness.note(partition, heartbeat)
    return freshness


def read_wholeness(store: Store, share: Share) -> Wholeness:
    """Return what the marks that a copy holds say.

    Args:
        store: the copy.
        share: the part of its topic that it is a copy of.
    """
    wholeness = Wholeness(share)
    for partition, mark in store.marks():
        wholeness.note(partition, mark)
    return wholeness
