"""Restores stores from their changelogs: all that they hold, up to their very ends, thousands of records at a time.

- All of it. Quix leaves out changelog records that are ahead of the group's committed offsets. Under exactly-once there
  are none, but offsets that were lost with their group would make it leave out everything. It also continues from
  whatever is on disk, which may be older than what the changelog remembers deletions for.
- To the end. Quix stops where its read-committed consumer sees the end: before a transaction that a killed joiner left
  open, although others may have committed behind it. As in Kafka Streams since KAFKA-10167, the end that counts is the
  high watermark, and an open transaction is waited for until it is aborted.
- In batches. Quix takes one record at a time, each in a RocksDB write of its own, next to bookkeeping for expiring
  values that nothing here sets: 15,000 to 20,000 records a second. And it checks once a second how far it has come.
  Here a batch of records is one write per partition, together with the changelog's offset, as Quix has it; and which
  partitions are complete is checked whenever nothing more has arrived.

Every record applies: a read-committed consumer is not given what another joiner did not commit, and only whole
checkpoints are committed.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from quixstreams.state.recovery import RecoveryManager, RecoveryPartition
from rocksdict import WriteBatch

from joiner.core.records import PartitionId
from joiner.engine import quix_internals as internals
from joiner.engine.quix_internals import COLUMN_FAMILY
from joiner.kafka.config import REQUEST_SECONDS
from shared.kafka import is_end_of_partition

logger = logging.getLogger(__name__)

BATCH = 5_000
"""Records taken at once."""

PATIENCE_SECONDS = 30.0
"""How long nothing may arrive before that is logged: longer than brokers take to abort what a killed joiner left."""

GIVE_UP_SECONDS = 600.0
"""How long a changelog may neither show a record nor its end."""

POLL_SECONDS = 0.1
"""How long to wait for records before checking which partitions are complete."""

MARKERS = 2
"""Offsets that the end of a transaction may take behind the last record."""

NOTHING_COMMITTED_AHEAD = 2**63 - 1


def restore_everything(
    state_manager: Any,  # noqa: ANN401 - a method is replaced
    oldest_trusted: Mapping[PartitionId, int],
    changelogs: Mapping[str, str],
) -> None:
    """Have stores restored from all that their changelogs hold, and from the beginning if the disk is too old.

    Args:
        state_manager: Quix's StateStoreManager.
        oldest_trusted: changelog partition -> the offset up to which a local store must have come; what the changelog
            held before that may include deletions that it has forgotten. Filled before partitions are assigned.
        changelogs: topic of a store -> its changelog.
    """
    assign = state_manager.on_partition_assign

    def on_partition_assign(stream_id: str, partition: int, committed_offsets: object) -> Any:  # noqa: ANN401, ARG001
        changelog = changelogs.get(stream_id)
        if changelog is not None:
            store = state_manager.get_store(stream_id).assign_partition(partition)
            offset = store.get_changelog_offset()
            # Markers that end transactions take an offset or two beyond the last record.
            if offset is not None and offset + MARKERS < oldest_trusted.get((changelog, partition), 0):
                logger.warning("the local state of %s[%d] is too old to use; restoring it", stream_id, partition)
                state_manager.destroy_partition_state(stream_id, partition)
        return assign(stream_id, partition, _NothingIsAhead())

    state_manager.on_partition_assign = on_partition_assign


class _NothingIsAhead(dict[str, int]):
    """Committed offsets of which no changelog record is ahead."""

    def __missing__(self, topic: str) -> int:
        return NOTHING_COMMITTED_AHEAD


def restore_to_the_end(manager: Any, end_of: Callable[[str, int], int]) -> None:  # noqa: ANN401 - methods are replaced
    """Have stores restored up to the high watermarks of their changelogs, uncommitted records included.

    Args:
        manager: Quix's RecoveryManager.
        end_of: changelog, partition -> the offset that the next record written there gets; asked when the store is
            assigned, after the group's committed offsets.
    """
    internals.move_changelog_ends(manager, end_of)


def high_watermark(consumer: Consumer, topic: str, partition: int) -> int:
    """Return the end of everything that was written to a partition, committed or not.

    Args:
        consumer: one that reads uncommitted records.
        topic: the partition's topic.
        partition: its number.
    """
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=REQUEST_SECONDS)
    return int(end)


def restore_in_batches(manager: Any, check: Callable[[], None]) -> None:  # noqa: ANN401 - methods are replaced
    """Have stores restored in batches.

    Args:
        manager: Quix's RecoveryManager.
        check: called with each batch before it is written; what it raises ends the recovery.
    """
    # Of each changelog partition, the end that the client last reported.
    ends: dict[PartitionId, int] = {}
    read_position = internals.position_reader(manager)
    # After this many positions in vain Quix gives up; a transaction that hides the position may take longer.
    manager.MAX_INVALID_OFFSET_ATTEMPTS = round(GIVE_UP_SECONDS / POLL_SECONDS)

    def position_of(recovering: RecoveryPartition) -> int | None:
        """Return up to where a changelog is read; the client says one more once it has reported an end (2.12.1)."""
        offset = read_position(recovering)
        end = ends.get((recovering.changelog_name, recovering.partition_num))
        return end if offset is not None and end == offset - 1 else offset

    internals.replace_position_reader(manager, position_of)
    internals.replace_recovery_loop(manager, lambda: _restore(manager, check, ends))


def _restore(manager: RecoveryManager, check: Callable[[], None], ends: dict[PartitionId, int]) -> None:
    """Restore until no store needs it any more, noting the ends of changelogs that the client reports."""
    warn_at = time.monotonic() + PATIENCE_SECONDS
    while manager.recovering:
        internals.log_progress(manager)
        messages = internals.consume_for_recovery(manager, BATCH, POLL_SECONDS)
        check()
        if any(message.error() is None for message in messages):
            warn_at = time.monotonic() + PATIENCE_SECONDS
        elif time.monotonic() >= warn_at:
            warn_at = time.monotonic() + PATIENCE_SECONDS
            _warn(manager)
        ends.update(
            ((event.topic(), event.partition()), event.offset()) for event in messages if is_end_of_partition(event)
        )
        if messages:
            _apply(manager, messages)
        else:
            internals.finish_complete_partitions(manager)


def _warn(manager: RecoveryManager) -> None:
    """Log which changelogs do not end: brokers abort a transaction that stays open, but only one that they know of."""
    for partitions in manager.partitions.values():
        for recovering in partitions.values():
            logger.warning(
                "still waiting for the end of %s[%d], offset %d, having read up to %s: most likely a transaction there"
                " is neither committed nor aborted, and its records or later ones may be needed; if this stays, Kafka's"
                " `kafka-transactions.sh find-hanging` and `abort` end it, and `python -m joiner reset` joins again"
                " from scratch what may be lost with it",
                recovering.changelog_name,
                recovering.partition_num,
                recovering.changelog_highwater,
                recovering.recovery_consume_position or "nothing",
            )


def _apply(manager: RecoveryManager, messages: Iterable[Message]) -> None:
    """Write records to the stores that they belong to, each store at once."""
    by_partition: dict[PartitionId, list[Message]] = {}
    for message in messages:
        if is_end_of_partition(message):
            continue
        if message.error() is not None:
            raise KafkaException(message.error())
        by_partition.setdefault((message.topic(), message.partition()), []).append(message)
    for (topic, partition), records in by_partition.items():
        recovering = manager.partitions.get(partition, {}).get(topic)
        if recovering is not None:
            _write(internals.store_of(recovering), records)
        elif internals.is_source_topic(manager, topic):
            # It should have been paused: Quix pauses it, and reads it again from there later.
            for record in records:
                internals.read_again_later(manager, record)
        # Else it is the tail of a partition that has just been released.


def _write(store: Any, records: list[Message]) -> None:  # noqa: ANN401 - a RocksDBStorePartition, or a test's
    family, batch = store.get_column_family_handle(COLUMN_FAMILY), WriteBatch(raw_mode=True)
    for record in records:
        key, value = record.key(), record.value()
        if value is None:
            batch.delete(key, family)
        else:
            batch.put(key, value, family)
    internals.write_restored(store, batch, records[-1].offset())
