"""State that comes back from its changelogs thousands of records at a time.

The engine takes one record at a time, each in a RocksDB write of its own, beside bookkeeping for expiring values that
nobody here sets: 15,000 to 20,000 records a second. And it asks how far it has come once a second. Here a batch of
records is one write a partition, together with the changelog's offset, as the engine has it; and whether a partition is
complete is asked whenever nothing more has arrived.

It goes to the very end of the changelog. The engine stops where its read-committed consumer sees the end: before a
transaction that a killed joiner left open, although others may have committed behind it. As Kafka Streams does since
KAFKA-10167, the end that counts is that of everything written; an open transaction is waited for until it is aborted.

Every record applies: what another joiner did not commit is not delivered to a read-committed consumer, and only whole
checkpoints are committed. Tried with quixstreams 3.28.1; tests/unit/test_engine.py fails when an upgrade changes what
is used here. Imports nothing of the engine: it is handed in.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaException, Message

from joiner.engine.stores import COLUMN_FAMILY
from joiner.kafka.config import is_end

logger = logging.getLogger(__name__)

BATCH = 5_000
"""Records taken at once."""

PATIENCE_SECONDS = 30.0
"""How long nothing may come before people are told why: longer than brokers take to abort what a killed joiner left."""

GIVE_UP_SECONDS = 600.0
"""How long a changelog may neither show a record nor its end."""

POLL_SECONDS = 0.1
"""How long it waits for records before it asks which partitions are complete."""


def restore_in_batches(
    manager: Any,  # noqa: ANN401 - it has no types
    new_write: Callable[[], Any],
    check: Callable[[], None],
) -> None:
    """Have stores restored in batches.

    Args:
        manager: the engine's RecoveryManager.
        new_write: makes an empty RocksDB write of raw bytes.
        check: called with each batch, before it is taken in; what it raises ends the restoring.
    """
    # Each place's end, as last told of.
    told: dict[tuple[str, int], int] = {}
    position_of = manager._get_changelog_offset  # noqa: SLF001
    # After so many questions for a position in vain the engine gives up; a transaction that hides it may take longer.
    manager.MAX_INVALID_OFFSET_ATTEMPTS = round(GIVE_UP_SECONDS / POLL_SECONDS)

    def changelog_offset(recovering: Any) -> int | None:  # noqa: ANN401
        """Return up to where a changelog is read; the client says one more where it has told of an end (2.12.1)."""
        offset: int | None = position_of(recovering)
        end = told.get((recovering.changelog_name, recovering.partition_num))
        return end if offset is not None and end == offset - 1 else offset

    def recovery_loop() -> None:
        warn_at = time.monotonic() + PATIENCE_SECONDS
        while manager.recovering:
            manager._log_recovery_progress()  # noqa: SLF001
            messages = manager._consumer.consume(num_messages=BATCH, timeout=POLL_SECONDS)  # noqa: SLF001
            check()
            if any(message.error() is None for message in messages):
                warn_at = time.monotonic() + PATIENCE_SECONDS
            elif time.monotonic() >= warn_at:
                warn_at = time.monotonic() + PATIENCE_SECONDS
                _warn(manager)
            told.update(((event.topic(), event.partition()), event.offset()) for event in messages if is_end(event))
            if messages:
                _apply(manager, messages, new_write)
            else:
                # Positions are kept for a second, to spare the engine's own loop asking for them twice.
                manager._position_cache.clear()  # noqa: SLF001
                manager._update_recovery_status()  # noqa: SLF001

    manager._get_changelog_offset = changelog_offset  # noqa: SLF001
    manager._recovery_loop = recovery_loop  # noqa: SLF001


def _warn(manager: Any) -> None:  # noqa: ANN401 - it has no types
    """Tell of changelogs that do not end: brokers abort a transaction that is open for too long, if they know of it."""
    for partitions in manager.partitions.values():
        for recovering in partitions.values():
            logger.warning(
                "still waiting for the end of %s[%d], offset %d, having read up to %s: most likely a transaction there"
                " is neither committed nor aborted, and its records or later ones may be needed; if this stays, Kafka's"
                " `kafka-transactions.sh find-hanging` and `abort` end it, and `python -m joiner reset` joins anew"
                " what may be lost with it",
                recovering.changelog_name,
                recovering.partition_num,
                recovering.changelog_highwater,
                recovering.recovery_consume_position or "nothing",
            )


def restore_to_the_end(manager: Any, end_of: Callable[[str, int], int]) -> None:  # noqa: ANN401 - it has no types
    """Have stores restored up to the ends of their changelogs, what is not committed yet included.

    Args:
        manager: the engine's RecoveryManager.
        end_of: changelog, partition -> the offset that the next record written there gets; asked when the store is
            assigned, after the group's committed offsets.
    """
    generate = manager._generate_recovery_partitions  # noqa: SLF001

    def generate_recovery_partitions(**arguments: Any) -> list[Any]:  # noqa: ANN401
        found: list[Any] = generate(**arguments)
        for recovering in found:
            recovering._changelog_highwater = end_of(recovering.changelog_name, recovering.partition_num)  # noqa: SLF001
        return found

    manager._generate_recovery_partitions = generate_recovery_partitions  # noqa: SLF001


def _apply(manager: Any, messages: list[Message], new_write: Callable[[], Any]) -> None:  # noqa: ANN401
    """Write records to the stores that they belong to, each store at once."""
    by_place: dict[tuple[str, int], list[Message]] = {}
    for message in messages:
        if is_end(message):
            continue
        if message.error() is not None:
            raise KafkaException(message.error())
        by_place.setdefault((message.topic(), message.partition()), []).append(message)
    recovering: Mapping[int, Mapping[str, Any]] = manager.partitions
    for (topic, partition), records in by_place.items():
        found = recovering.get(partition, {}).get(topic)
        if found is not None:
            _write(found._store_partition, records, new_write())  # noqa: SLF001
        elif topic in manager._topic_manager.non_changelog_topics:  # noqa: SLF001
            # It should have been paused: the engine pauses it, and has it read again from there.
            for record in records:
                manager._rewind_data_partition(record)  # noqa: SLF001
        # Else it is the tail of a partition that has just been given away.


def _write(store: Any, records: list[Message], write: Any) -> None:  # noqa: ANN401
    family = store.get_column_family_handle(COLUMN_FAMILY)
    for record in records:
        key, value = record.key(), record.value()
        if value is None:
            write.delete(key, family)
        else:
            write.put(key, value, family)
    store._update_changelog_offset(batch=write, offset=records[-1].offset())  # noqa: SLF001
    store._write(write)  # noqa: SLF001
