"""Every private part of Quix Streams and of its objects that the joiner touches, each behind a function that says why.

No other module reads or sets a name with an underscore of a Quix object; only `JoinerApplication` uses those that it
inherits. Written against quixstreams 3.28.1: tests/unit/test_engine.py holds fingerprints of the code that these names
belong to, and fails when an upgrade changes it. Knows nothing of what the joiner does with them.

All of it is called once a batch or once a checkpoint, never once a record.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import confluent_kafka
from confluent_kafka import Message
from quixstreams.checkpointing import Checkpoint
from quixstreams.internal_producer import InternalProducer
from quixstreams.kafka import BaseConsumer
from quixstreams.state import PartitionTransaction, StateStoreManager
from quixstreams.state.base.transaction import PartitionTransactionCache
from quixstreams.state.recovery import ChangelogProducer, RecoveryManager, RecoveryPartition
from quixstreams.state.rocksdb import RocksDBStorePartition
from rocksdict import WriteBatch

from joiner.core.epochs import TransactionWatcher

if TYPE_CHECKING:
    from rocksdict import Rdict

COLUMN_FAMILY = "default"
"""The column family of a store that is created without a name for it."""

PREFIX = b""
"""What the keys of a store begin with that does not divide them by message key, as the joiner's do not."""


# Checkpoints


def seconds_left(checkpoint: Checkpoint) -> float:
    """Return for how long a checkpoint may still stay open: Quix says only whether it is expired."""
    return checkpoint._created_at + checkpoint._commit_interval - time.monotonic()


def set_commit_interval(checkpoint: Checkpoint, seconds: float) -> None:
    """Set when an open checkpoint closes: Quix takes one interval for all checkpoints of an application."""
    checkpoint._commit_interval = seconds


def state_offset(checkpoint: Checkpoint, topic: str, partition: int, next_offset: int) -> None:
    """Have a checkpoint commit an offset, the one that is committed already if no record of the partition follows.

    Kafka asks whether a joiner is still of the group only with the offsets that a transaction commits: one without any
    would be committed though others own the partitions by then. Quix takes no offset before the first record's.
    """
    checkpoint._tp_offsets.setdefault((topic, partition), next_offset - 1)


# Kafka clients


def note_brokers_available(producer: InternalProducer, consumer: BaseConsumer) -> None:
    """Note that brokers answer, as Quix does after each message."""
    producer._broker_available()  # type: ignore[no-untyped-call]
    consumer._broker_available()  # type: ignore[no-untyped-call]


def is_unreachable(consumer: BaseConsumer) -> bool:
    """Return whether no broker can be reached: Quix says so only after a time-out of its own."""
    return consumer._broker_unavailable_since is not None


def librdkafka_producer(producer: InternalProducer) -> confluent_kafka.Producer:
    """Return the client below two wrappers, each of which costs several calls a record."""
    return producer._producer._producer


def delivery_callback(producer: InternalProducer) -> Callable[..., None]:
    """Return the callback that notes the offset of a delivered record: a store remembers its last changelog offset."""
    return producer._on_delivery


def open_client(producer: InternalProducer) -> confluent_kafka.Producer:
    """Return another client with the configuration of a producer's own: Quix makes one, and never a second."""
    return confluent_kafka.Producer(producer._producer._producer_config)


def replace_client(producer: InternalProducer, client: confluent_kafka.Producer) -> confluent_kafka.Producer | None:
    """Have a producer use another client, and return the one that it had."""
    before, producer._producer._inner_producer = producer._producer._inner_producer, client
    return before


def watch_transactions(producer: Any, watcher: TransactionWatcher) -> None:  # noqa: ANN401 - methods are replaced
    """Have an InternalProducer tell of its transactions."""
    client = producer._producer
    begin, retry, report = producer.begin_transaction, producer._retry_transaction_op, client._user_error_cb

    def retry_transaction_op(op: Callable[[float | None], None], **arguments: Any) -> None:  # noqa: ANN401
        def attempt(timeout_seconds: float | None) -> None:
            try:
                op(timeout_seconds)
            except confluent_kafka.KafkaException:
                watcher.on_failure()
                raise

        client.poll(0)
        watcher.before_end()
        try:
            retry(attempt, **arguments)
        finally:
            client.poll(0)
            watcher.after_end()

    def report_error(error: confluent_kafka.KafkaError) -> None:
        watcher.on_error()
        report(error)

    producer.begin_transaction = lambda: (watcher.before_begin(), begin())[1]  # type: ignore[func-returns-value]
    producer._retry_transaction_op = retry_transaction_op
    client._user_error_cb = report_error


# Stores


def rows_of(transaction: PartitionTransaction[Any, Any]) -> "Rdict":
    """Return the RocksDB column family that a transaction reads: the public `get` costs ten times as much."""
    partition: Any = transaction._partition
    rows: Rdict = partition.get_or_create_column_family(COLUMN_FAMILY)
    return rows


def reader_of(state_manager: StateStoreManager, topic: str, partition: int) -> Callable[[bytes], bytes | None]:
    """Return what reads a topic's store of a partition; it keeps the lock of the store's folder.

    May be called from any thread: RocksDB allows that, and its binding lets go of the interpreter's lock meanwhile.
    """
    store: Any = state_manager.get_store(topic).partitions[partition]
    rows: Rdict = store.get_or_create_column_family(COLUMN_FAMILY)
    return rows.get


def cache_of(transaction: PartitionTransaction[Any, Any]) -> PartitionTransactionCache:
    """Return the cache that holds a transaction's writes until the commit: the public `set` costs ten times as much."""
    return transaction._update_cache


def pending_writes(cache: PartitionTransactionCache) -> tuple[dict[bytes, bytes], set[bytes]]:
    """Return the writes themselves, key -> value, and the deleted keys; call `mark_changed` after adding to them."""
    return cache._updated[COLUMN_FAMILY][PREFIX], cache._deleted[COLUMN_FAMILY]


def mark_changed(cache: PartitionTransactionCache) -> None:
    """Note that there are writes: a checkpoint without writes and offsets is not committed."""
    cache._empty = False


def replace_changelog_writer(
    transaction: Any,  # noqa: ANN401 - a method is replaced
    write: Callable[[Mapping[str, int] | None], None],
) -> None:
    """Have a function write a transaction's changes to the changelog; it is given the processed offsets."""
    transaction._prepare = write


def producer_of(changelog: ChangelogProducer) -> InternalProducer:
    """Return the producer that writes a changelog, inside the open transaction."""
    return changelog._producer


# Recovery


def recovery_manager(state_manager: StateStoreManager) -> Any:  # noqa: ANN401 - methods of it are replaced
    """Return the RecoveryManager of an application: nothing public leads to it."""
    return state_manager._recovery_manager


def replace_recovery_loop(manager: Any, loop: Callable[[], None]) -> None:  # noqa: ANN401
    """Have a function restore all stores that need it; it returns when `manager.recovering` is false."""
    manager._recovery_loop = loop


def position_reader(manager: Any) -> Callable[[RecoveryPartition], int | None]:  # noqa: ANN401
    """Return the function that asks up to where a changelog is read."""
    read: Callable[[RecoveryPartition], int | None] = manager._get_changelog_offset
    return read


def replace_position_reader(manager: Any, read: Callable[[RecoveryPartition], int | None]) -> None:  # noqa: ANN401
    """Have another function say up to where a changelog is read, by which Quix decides that it is complete."""
    manager._get_changelog_offset = read


def move_changelog_ends(manager: Any, end_of: Callable[[str, int], int]) -> None:  # noqa: ANN401
    """Have each store restored up to another end than the one that Quix's consumer sees.

    Args:
        manager: the RecoveryManager.
        end_of: changelog, partition -> that end; called when the store is assigned.
    """
    generate = manager._generate_recovery_partitions

    def generate_recovery_partitions(**arguments: Any) -> list[RecoveryPartition]:  # noqa: ANN401
        found: list[RecoveryPartition] = generate(**arguments)
        for recovering in found:
            recovering._changelog_highwater = end_of(recovering.changelog_name, recovering.partition_num)
        return found

    manager._generate_recovery_partitions = generate_recovery_partitions


def consume_for_recovery(manager: RecoveryManager, most: int, timeout_seconds: float) -> list[Message]:
    """Return a batch of records: Quix takes one at a time."""
    messages: list[Message] = manager._consumer.consume(num_messages=most, timeout=timeout_seconds)
    return messages


def log_progress(manager: RecoveryManager) -> None:
    """Have Quix log how far it has come, which it does every ten seconds."""
    manager._log_recovery_progress()


def finish_complete_partitions(manager: RecoveryManager) -> None:
    """End the recovery of complete partitions, by their positions now: Quix caches positions for a second."""
    manager._position_cache.clear()
    manager._update_recovery_status()  # type: ignore[no-untyped-call]


def store_of(recovering: RecoveryPartition) -> Any:  # noqa: ANN401 - a RocksDBStorePartition, of which Quix says less
    """Return the store that is being restored."""
    return recovering._store_partition


def is_source_topic(manager: RecoveryManager, topic: str) -> bool:
    """Return whether a topic is one that is processed, and not a changelog."""
    return topic in manager._topic_manager.non_changelog_topics


def read_again_later(manager: RecoveryManager, message: Message) -> None:
    """Pause a partition that should have been paused, and have it read from this record on after the recovery."""
    manager._rewind_data_partition(message)


def write_restored(store: RocksDBStorePartition, batch: WriteBatch, offset: int) -> None:
    """Write a batch together with the changelog offset that it reaches, in one RocksDB write."""
    store._update_changelog_offset(batch=batch, offset=offset)
    store._write(batch)
