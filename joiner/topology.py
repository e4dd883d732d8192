"""The joiner as one Quix application: topics, stores, checkpoints, exactly once. The only module that knows Quix.

Quix Streams brings the consumer group, RocksDB stores with changelog topics and their recovery, and the transaction
that commits offsets, output and changelogs together. What the rows mean is decided in joiner.checkpoint. Messages are
taken from the consumer by the thousand, in place of `Application._process_message`: one at a time costs the engine tens
of microseconds each, however little is done with it. What else is used of its inside stands in joiner.engine.
"""

import gc
import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial

from confluent_kafka import Message, TopicPartition
from confluent_kafka.admin import AdminClient
from quixstreams import Application
from quixstreams.checkpointing import Checkpoint as EngineCheckpoint
from quixstreams.kafka import ConnectionConfig
from quixstreams.models import TopicConfig
from quixstreams.sinks import BaseSink
from quixstreams.state.rocksdb import RocksDBOptions
from rocksdict import WriteBatch

from joiner.checkpoint import Checkpoint, SourceRecord
from joiner.engine import PartitionStore, Sender
from joiner.health import Health
from joiner.restoring import restore_in_batches
from joiner.settings import JoinerSettings
from joiner.topics import Partitions
from shared.errors import BadRow, KafkaError, StateError
from shared.kafka import COMMON
from shared.records import OLDEST_CHANGE_HEADER, USERS
from shared.topics import MAX_MESSAGE_BYTES, MAX_RECORD_BYTES, PARTITIONER

logger = logging.getLogger(__name__)

BATCH = 2_000
"""Messages taken at once: enough to make a call's cost vanish, few enough to commit in time."""

POLL_SECONDS = 0.02
"""How long a batch waits to fill: what it adds to freshness at the most."""

CHECKPOINT_ROWS = 50_000
"""Rows and users held in memory before a checkpoint is closed early: some 100 MB."""

CHANGES_KEY = b"changes"
"""Key of every internal record: the partition is chosen by user, and the topic is never compacted."""

TRIM_SECONDS = 30.0
"""How often consumed records of the internal topic are deleted."""

TRANSACTION_MS = 10_000
SESSION_MS = 6_000
"""The lowest that a broker takes by default: how soon a killed joiner is noticed."""


class _Work:
    """What belongs to one checkpoint of the engine, and is dropped with it."""

    def __init__(self, engine: EngineCheckpoint) -> None:
        self.engine = engine
        self.checkpoint = Checkpoint()
        self._stores: dict[tuple[str, int], PartitionStore] = {}

    def store(self, topic: str, partition: int) -> PartitionStore:
        store = self._stores.get((topic, partition))
        if store is None:
            transaction = self.engine.get_store_transaction(stream_id=topic, partition=partition)
            store = self._stores[topic, partition] = PartitionStore(transaction)
        return store


class _Outputs(BaseSink):
    """Closes a checkpoint's work inside its transaction, just before the changelogs are written."""

    def __init__(self, joiner: "JoinerApplication") -> None:
        super().__init__()
        self._joiner = joiner

    def add(self, *_: object, **__: object) -> None:
        """Take nothing: the work is in the checkpoint."""

    def flush(self) -> None:
        """Write what the checkpoint decided; called by the engine when it commits."""
        self._joiner.close_work()

    def setup(self) -> None:
        """Connect to nothing."""


class JoinerApplication(Application):
    """The engine, taking messages in batches and handing them to joiner.checkpoint."""

    def __init__(
        self,
        settings: JoinerSettings,
        properties: Mapping[str, str],
        partitions: Partitions,
        health: Health,
        admin: AdminClient,
    ) -> None:
        self._settings = settings
        self._partitions = partitions
        self._health = health
        self._work: _Work | None = None
        self._assigned: set[tuple[str, int]] = set()
        self._admin = admin
        self._trim_at = time.monotonic() + TRIM_SECONDS
        super().__init__(
            broker_address=ConnectionConfig(bootstrap_servers=settings.kafka_bootstrap_servers),
            consumer_group=settings.joiner_group,
            auto_offset_reset="earliest",
            processing_guarantee="exactly-once",
            commit_interval=settings.joiner_commit_interval_seconds,
            consumer_poll_timeout=POLL_SECONDS,
            consumer_extra_config=_consumer_config(settings, properties),
            producer_extra_config=_producer_config(settings, properties),
            state_dir=settings.joiner_state_dir / "state",
            rocksdb_options=RocksDBOptions(
                write_buffer_size=16 * 1024 * 1024,
                target_file_size_base=16 * 1024 * 1024,
                max_write_buffer_number=2,
                block_cache_size=128 * 1024 * 1024,
                compression_type="lz4",
            ),
            auto_create_topics=True,
            # Deleting state to go on with less than the truth is never right here.
            auto_recover_from_source_offset_out_of_range=False,
            loglevel=None,
        )
        self._declare()
        # A checkpoint is hundreds of thousands of small objects, none of them in a cycle: looking for cycles among
        # them as often as Python does by itself takes a tenth of all time.
        gc.freeze()
        gc.set_threshold(200_000, 20, 100)

    def _declare(self) -> None:
        settings = self._settings
        outputs = _Outputs(self)
        for name in (*settings.sources, settings.user_info_changes_topic):
            topic = self.topic(name, key_deserializer="bytes", value_deserializer="bytes")
            self.dataframe(topic).sink(outputs)
            if settings.sources.get(name) is USERS:
                continue
            self._state_manager.register_store(
                stream_id=name,
                changelog_config=TopicConfig(
                    num_partitions=topic.broker_config.num_partitions,
                    replication_factor=topic.broker_config.replication_factor,
                    extra_config={"cleanup.policy": "compact", "max.message.bytes": str(MAX_MESSAGE_BYTES)},
                ),
            )
        manager = self._state_manager._recovery_manager  # noqa: SLF001 - nothing else leads to it
        restore_in_batches(manager, partial(WriteBatch, raw_mode=True))

    def _process_message(self, dataframe_composed: object) -> None:  # noqa: ARG002 - the engine calls it so
        self._health.enter("running")
        self._producer.poll(0)
        messages = self._consumer.consume(num_messages=BATCH, timeout=POLL_SECONDS)
        if messages:
            self._take(messages)
            self._producer._broker_available()  # type: ignore[no-untyped-call] # noqa: SLF001 - as what it replaces
            self._consumer._broker_available()  # type: ignore[no-untyped-call] # noqa: SLF001
        self._pace(len(messages))
        if time.monotonic() >= self._trim_at:
            self._trim()

    def _take(self, messages: list[Message]) -> None:
        now_ms = time.time_ns() // 1_000_000
        work = self._current_work()
        sources = self._settings.sources
        offsets: dict[tuple[str, int], int] = {}
        for message in messages:
            if message.error() is not None:
                raise KafkaError(f"reading {message.topic()}: {message.error().str()}")
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if (topic, partition) not in self._assigned:
                raise StateError(f"a record of {topic}[{partition}] came after that partition had been given away")
            table = sources.get(topic)
            if table is None:
                work.checkpoint.take_changes(work.store(topic, partition), offset, message.value())
            else:
                store = None if table is USERS else work.store(topic, partition)
                time_ms = message.timestamp()[1]
                record = SourceRecord(message.key(), message.value(), time_ms if time_ms > 0 else now_ms, now_ms)
                try:
                    work.checkpoint.take_row(table, store, record)
                except BadRow as bad:
                    self._bury(message, bad, now_ms)
            offsets[topic, partition] = offset
        for (topic, partition), offset in offsets.items():
            self._processing_context.store_offset(topic=topic, partition=partition, offset=offset)

    def _pace(self, taken: int) -> None:
        """Let the checkpoint follow the backlog: short while caught up, long while behind, bounded by memory."""
        checkpoint = self._processing_context.checkpoint
        if self._work is not None and self._work.checkpoint.size > CHECKPOINT_ROWS:
            checkpoint._commit_interval = 0  # noqa: SLF001 - the engine takes one interval for all checkpoints
        elif taken == BATCH:
            checkpoint._commit_interval = self._settings.joiner_commit_interval_max_seconds  # noqa: SLF001
        else:
            checkpoint._commit_interval = self._settings.joiner_commit_interval_seconds  # noqa: SLF001

    def _current_work(self) -> _Work:
        engine = self._processing_context.checkpoint
        if self._work is None or self._work.engine is not engine:
            self._work = _Work(engine)
        return self._work

    def close_work(self) -> None:
        """Write sums, records and states into the open transaction; what belongs to another checkpoint is dropped."""
        work, self._work = self._work, None
        if work is None or work.engine is not self._processing_context.checkpoint:
            return
        for partition, pack in work.checkpoint.packs(self._partitions.changes):
            Sender(self._producer, self._settings.user_info_changes_topic, partition)(CHANGES_KEY, pack)
        send = Sender(self._producer, self._settings.user_info_topic)
        for record in work.checkpoint.records():
            headers = [(OLDEST_CHANGE_HEADER, str(record.oldest_ms))]
            send(record.key, record.value, timestamp=record.newest_ms, headers=headers)
        work.checkpoint.save()

    def _bury(self, message: Message, bad: BadRow, now_ms: int) -> None:
        """Write a record that no row can be read from to the dead letters, as received, with why and from where."""
        where = f"{message.topic()}[{message.partition()}]@{message.offset()}"
        logger.warning("dead letter: %s: %s", where, bad)
        time_ms = message.timestamp()[1]
        headers = [
            ("reason", bad.reason.encode()),
            ("detail", bad.detail[:1000].encode(errors="replace")),
            ("topic", message.topic().encode()),
            ("partition", str(message.partition()).encode()),
            ("offset", str(message.offset()).encode()),
            ("time", str(time_ms if time_ms > 0 else now_ms).encode()),
        ]
        key, value = message.key(), message.value()
        if len(key or b"") + len(value or b"") > MAX_RECORD_BYTES:
            headers.append(("cut-from-bytes", str(len(value or b"")).encode()))
            key, value = key and key[:1024], value and value[: MAX_RECORD_BYTES - 1024]
        self._producer.produce(topic=self._settings.dead_letters_topic, key=key, value=value, headers=headers)

    def _trim(self) -> None:
        """Delete the internal records that are consumed and committed: nobody reads them again."""
        self._trim_at = time.monotonic() + TRIM_SECONDS
        topic = self._settings.user_info_changes_topic
        mine = [TopicPartition(topic, partition) for name, partition in self._assigned if name == topic]
        consumed = [tp for tp in self._consumer.committed(mine, timeout=10) if tp.offset > 0]
        if consumed:
            for deleted in self._admin.delete_records(consumed, request_timeout=10).values():
                deleted.add_done_callback(_warn_of_failure)

    def _assign_partitions(self, topic_partitions: list[TopicPartition]) -> None:
        self._health.enter("restoring")
        super()._assign_partitions(topic_partitions)
        self._assigned = {(tp.topic, tp.partition) for tp in topic_partitions}
        logger.info("assigned %d partitions", len(topic_partitions))

    def _on_revoke(self, consumer: object, topic_partitions: list[TopicPartition]) -> None:
        super()._on_revoke(consumer, topic_partitions)
        self._assigned -= {(tp.topic, tp.partition) for tp in topic_partitions}
        logger.info("gave up %d partitions", len(topic_partitions))

    def _on_lost(self, consumer: object, topic_partitions: list[TopicPartition]) -> None:  # noqa: ARG002
        # Somebody else may own them by now: nothing of the open checkpoint may be committed.
        self._failed = True
        raise StateError(
            f"{len(topic_partitions)} partitions were lost to another joiner, since this one was paused or cut off from"
            " Kafka for longer than its session; it ends without committing, start it again"
        )


def _warn_of_failure(deleted: Future[object]) -> None:
    error = deleted.exception()
    if error is not None:
        logger.warning("cannot delete consumed records of the internal topic, which goes on growing: %s", error)


def _consumer_config(settings: JoinerSettings, properties: Mapping[str, str]) -> dict[str, object]:
    return {
        **COMMON,
        **properties,
        "isolation.level": "read_committed",
        "group.instance.id": settings.transactional_id,
        "session.timeout.ms": SESSION_MS,
        "heartbeat.interval.ms": 1_500,
        "allow.auto.create.topics": False,
        "topic.metadata.refresh.interval.ms": 30_000,
        "max.partition.fetch.bytes": MAX_MESSAGE_BYTES,
        "fetch.wait.max.ms": 20,
        "queued.max.messages.kbytes": 32 * 1024,
    }


def _producer_config(settings: JoinerSettings, properties: Mapping[str, str]) -> dict[str, object]:
    return {
        **COMMON,
        "compression.type": "lz4",
        "linger.ms": 5,
        "queue.buffering.max.messages": 500_000,
        **properties,
        "enable.idempotence": True,
        "partitioner": PARTITIONER,
        "transactional.id": settings.transactional_id,
        "transaction.timeout.ms": TRANSACTION_MS,
    }
