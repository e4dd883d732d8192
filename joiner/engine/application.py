"""The joiner as one Quix application: topics, stores, checkpoints, exactly once. The only module that knows Quix.

Quix Streams brings the consumer group, RocksDB stores with changelog topics and their recovery, and the transaction
that commits offsets, output and changelogs together. What the rows mean is decided in joiner.core.checkpoint. Messages
are taken from the consumer by the thousand, in place of `Application._process_message`: one at a time costs the engine
tens of microseconds each, however little is done with it. What else is used of its inside stands in
joiner.engine.stores.
"""

import gc
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from weakref import WeakSet

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from quixstreams import Application
from quixstreams.kafka import ConnectionConfig
from quixstreams.models import TopicConfig
from quixstreams.sinks import BaseSink
from quixstreams.state.rocksdb import RocksDBOptions
from rocksdict import WriteBatch

from joiner.background.progress import Progress
from joiner.context import Context
from joiner.core.checkpoint import SourceRecord
from joiner.core.commit_policy import BATCH, MOST_WAIT_SECONDS, Pace, wait
from joiner.core.compatibility import Place
from joiner.core.watermarks import TIMES_KEY
from joiner.dead_letters.letter import Letter, buried
from joiner.engine.errors import is_engine_error, translate_error
from joiner.engine.open_checkpoint import ClosingCheckpoint, OpenCheckpoint
from joiner.engine.recovery import restore_in_batches, restore_to_the_end
from joiner.engine.stores import PartitionStore, RecordSender, restore_exactly
from joiner.kafka import config
from joiner.kafka.offsets import trusted_offsets
from joiner.kafka.topics import Prepared
from shared import logs
from shared.errors import BadRow, Interrupted, StateError, UserInformationError
from shared.records import OLDEST_CHANGE_HEADER, USERS
from shared.topics import MAX_MESSAGE_BYTES

logger = logging.getLogger(__name__)

CHANGES_KEY = b"changes"
"""Key of every internal record: the partition is chosen by user, and the topic is never compacted."""

OBSERVE_SECONDS = 1.0
"""How often lags are measured, and the internal topic's markers skipped."""


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
    """The engine, taking messages in batches and handing them to joiner.core.checkpoint.

    Args:
        around: what the process keeps.
        prepared: the joiner's topics.
        progress: told what is committed; its failure ends the loop.
    """

    def __init__(self, around: Context, prepared: Prepared, progress: Progress) -> None:
        settings = self._settings = around.settings
        self._prepared = prepared
        self._health = around.health
        self._metrics = around.metrics
        self._progress = progress
        self._work: OpenCheckpoint | None = None
        self._closing: ClosingCheckpoint | None = None
        self._opened: WeakSet[PartitionStore] = WeakSet()
        # Of this process's partitions, the next offset to be read by what is committed.
        self._committed: dict[Place, int] = {}
        # Partitions of which the group had read nothing, until they are read to their ends.
        self._first_read: set[Place] = set()
        self._oldest_trusted: dict[Place, int] = {}
        self._joined = self._told_to_stop = False
        self._broken: Exception | None = None
        self._observe_at = 0.0
        self._read_ms: dict[str, int] = {}
        self._pace = Pace(settings.joiner_commit_interval_seconds, settings.joiner_commit_interval_max_seconds)
        super().__init__(
            broker_address=ConnectionConfig(bootstrap_servers=settings.kafka_bootstrap_servers),
            consumer_group=settings.joiner_group,
            auto_offset_reset="earliest",
            processing_guarantee="exactly-once",
            commit_interval=settings.joiner_commit_interval_seconds,
            consumer_poll_timeout=MOST_WAIT_SECONDS,
            consumer_extra_config=config.consumer(settings, around.properties),
            producer_extra_config=config.producer(settings, around.properties),
            state_dir=settings.local_state,
            rocksdb_options=RocksDBOptions(
                write_buffer_size=16 * 1024 * 1024,
                target_file_size_base=16 * 1024 * 1024,
                max_write_buffer_number=2,
                block_cache_size=128 * 1024 * 1024,
                compression_type="lz4",
                # The folder is this process's alone: who else has it open will not be gone soon.
                open_max_retries=2,
                open_retry_backoff=1.0,
            ),
            auto_create_topics=True,
            # Deleting state to go on with less than the truth is never right here.
            auto_recover_from_source_offset_out_of_range=False,
            loglevel=None,
        )
        self._asking = Consumer(config.asking(settings, around.properties))
        self._declare()
        # A checkpoint is hundreds of thousands of small objects, none of them in a cycle: looking for cycles among
        # them as often as Python does by itself takes a tenth of all time.
        gc.freeze()
        gc.set_threshold(200_000, 20, 100)

    def _declare(self) -> None:
        settings = self._settings
        outputs = _Outputs(self)
        changelogs = {}
        for name in (*settings.sources, settings.user_info_changes_topic):
            topic = self.topic(name, key_deserializer="bytes", value_deserializer="bytes")
            self.dataframe(topic).sink(outputs)
            if settings.sources.get(name) is USERS:
                continue
            changelogs[name] = f"{settings.changelog_prefix}{name}--default"
            self._state_manager.register_store(
                stream_id=name,
                changelog_config=TopicConfig(
                    num_partitions=topic.broker_config.num_partitions,
                    replication_factor=topic.broker_config.replication_factor,
                    extra_config={"cleanup.policy": "compact", "max.message.bytes": str(MAX_MESSAGE_BYTES)},
                ),
            )
        restore_exactly(self._state_manager, self._oldest_trusted, changelogs)
        manager = self._state_manager._recovery_manager  # noqa: SLF001 - nothing else leads to it
        restore_in_batches(manager, partial(WriteBatch, raw_mode=True), self._check_place)
        restore_to_the_end(manager, self._end_of)

    def _end_of(self, topic: str, partition: int) -> int:
        """Return where everything ends that was written to a partition, committed or not."""
        place = TopicPartition(topic, partition)
        _, end = self._asking.get_watermark_offsets(place, timeout=config.REQUEST_SECONDS)
        return int(end)

    def join(self) -> None:
        """Join until told to stop.

        Raises:
            Interrupted: Kafka broke off what was under way; a new application goes on from the last commit.
            StateError: going on would not be exact; says what to do.
        """
        try:
            self.run()
        except UserInformationError:
            raise
        except Exception as error:
            if not is_engine_error(error):
                raise
            # Not kept in a variable here: it would hold this frame, which would hold it, and with it all that was open.
            if not self._told_to_stop or not isinstance(translate_error(error), Interrupted):
                raise translate_error(error) from error
            logger.warning(
                "stopped without committing what came last, which the next start reads again: %s",
                translate_error(error),
            )
        finally:
            self._work = self._broken = None
            self._let_go()

    def _let_go(self) -> None:
        """Close the open checkpoint's stores, which may be assigned again at once.

        Explicitly: this application is kept to the end of the process, the engine keeps checkpoints and errors, and
        errors keep the frames that they passed, with all that was open there.
        """
        for store in list(self._opened):
            store.close()

    def _process_message(self, dataframe_composed: object) -> None:  # noqa: ARG002 - the engine calls it so
        self._check_place()
        if self._joined:
            self._health.enter("running")
        if self._work is None:
            self._note_commit()
        self._producer.poll(0)
        messages = self._consumer.consume(num_messages=BATCH, timeout=wait(self._seconds_left()))
        self._check_place()
        if messages:
            self._take([message for message in messages if message.error() is None])
            self._reach(message for message in messages if message.error() is not None)
            self._producer._broker_available()  # type: ignore[no-untyped-call] # noqa: SLF001 - as what it replaces
            self._consumer._broker_available()  # type: ignore[no-untyped-call] # noqa: SLF001
        held = 0 if self._work is None else self._work.size
        # The engine takes one interval for all checkpoints.
        self._processing_context.checkpoint._commit_interval = self._pace.interval(len(messages), held)  # noqa: SLF001

    def _reach(self, events: Iterable[Message]) -> None:
        """Note where partitions end, with the work that leads there; anything else that is told is an error."""
        for event in events:
            if not config.is_end(event):
                raise translate_error(KafkaException(event.error()))
            place = event.topic(), event.partition()
            if place not in self._committed:
                continue
            self._first_read.discard(place)
            if self._work is None:
                self._progress.reach(place, event.offset())
            else:
                self._work.ends[place] = event.offset()

    def _take(self, messages: list[Message]) -> None:
        if not messages:
            return
        now_ms = time.time_ns() // 1_000_000
        work = self._current_work()
        sources = self._settings.sources
        rows, told = dict.fromkeys(sources, 0), len(work.times)
        offsets: dict[Place, int] = {}
        for message in messages:
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if (topic, partition) not in self._committed:
                raise StateError(f"a record of {topic}[{partition}] came after that partition had been given away")
            time_ms = message.timestamp()[1]
            time_ms = time_ms if time_ms > 0 else now_ms
            table = sources.get(topic)
            if table is None and message.key() == TIMES_KEY:
                work.times.append((partition, message.value()))
            elif table is None:
                work.checkpoint.take_changes(work.store(topic, partition), offset, message.value())
            else:
                rows[topic] += 1
                store = None if table is USERS else work.store(topic, partition)
                is_news = (topic, partition) not in self._first_read
                record = SourceRecord(message.key(), message.value(), time_ms, now_ms, is_news)
                try:
                    work.checkpoint.take_row(table, store, record)
                except BadRow as bad:
                    work.letters.append((Letter(topic, partition, offset, record.key, record.value, time_ms), bad))
            offsets[topic, partition] = offset
            self._read_ms[topic] = time_ms
        for (topic, partition), offset in offsets.items():
            self._processing_context.store_offset(topic=topic, partition=partition, offset=offset)
        work.offsets.update(offsets)
        for topic, count in rows.items():
            self._metrics.rows.labels(sources[topic].name).inc(count)
        self._metrics.changes.inc(len(messages) - sum(rows.values()) - (len(work.times) - told))

    def _seconds_left(self) -> float:
        """Return how long the open checkpoint may still stay open."""
        checkpoint = self._processing_context.checkpoint
        return checkpoint._created_at + checkpoint._commit_interval - time.monotonic()  # noqa: SLF001

    def _current_work(self) -> OpenCheckpoint:
        engine = self._processing_context.checkpoint
        if self._work is None or self._work.engine is not engine:
            self._work = OpenCheckpoint(engine, self._opened)
        return self._work

    def close_work(self) -> None:
        """Write sums, records and states into the open transaction; what belongs to another checkpoint is dropped."""
        work, self._work = self._work, None
        if work is None or not self._is_open(work):
            return
        self._closing = ClosingCheckpoint(time.monotonic(), work.offsets, work.ends, work.times)
        for partition, pack in work.checkpoint.packs(self._prepared.changes_partitions):
            self._keep_open(work)
            RecordSender(self._producer, self._settings.user_info_changes_topic, partition)(CHANGES_KEY, pack)
        send = RecordSender(self._producer, self._settings.user_info_topic)
        for record in work.checkpoint.records():
            self._keep_open(work)
            headers = None if record.oldest_ms is None else [(OLDEST_CHANGE_HEADER, str(record.oldest_ms))]
            send(record.key, record.value, timestamp=record.newest_ms, headers=headers)
        self._metrics.records.inc(send.sent)
        self._metrics.unknown_values.inc(work.checkpoint.unknown_values)
        self._bury(work.letters)
        work.checkpoint.save()

    def _is_open(self, work: OpenCheckpoint) -> bool:
        return work.engine is self._processing_context.checkpoint

    def _keep_open(self, work: OpenCheckpoint) -> None:
        """Make sure that what is written belongs to the transaction that is open.

        In a rebalance the engine closes work in a thread, which it leaves behind where that takes too long.
        """
        if not self._is_open(work):
            self._failed = True
            raise Interrupted("closing a checkpoint took longer than a rebalance may")

    def _bury(self, letters: list[tuple[Letter, BadRow]]) -> None:
        """Write records that no row can be read from to the dead letters."""
        for letter, bad in letters:
            key, value, headers = buried(letter, bad)
            self._producer.produce(topic=self._settings.dead_letters_topic, key=key, value=value, headers=headers)
            self._metrics.dead_letters.labels(bad.reason).inc()
        if letters:
            (first, bad), more = letters[0], len(letters) - 1
            where = logs.record_fields(first.topic, first.partition, first.offset)
            logger.warning("dead letter: %s: %s%s", first.place, bad, f", and {more} more" if more else "", extra=where)

    def _note_commit(self) -> None:
        """Note that a checkpoint is committed, where one was being, and what that says of the lags."""
        now = time.monotonic()
        closing, self._closing = self._closing, None
        if closing is not None:
            took = now - closing.since
            self._pace.note_commit(took)
            self._metrics.checkpoint_seconds.observe(took)
            self._progress.commits += 1
            self._progress.committed_at = now
            for place, offset in closing.offsets.items():
                self._progress.consume(place, offset + 1)
                self._progress.reach(place, offset + 1)
                if place in self._committed:
                    self._committed[place] = offset + 1
            for place, end in closing.ends.items():
                self._progress.reach(place, end)
            self._progress.hear(closing.times)
        if now >= self._observe_at and self._joined:
            self._observe_at = now + OBSERVE_SECONDS
            self._observe()
            self._skip_markers()

    def _observe(self) -> None:
        """Measure lags; everything that was read is committed now, so what is read to its end is caught up."""
        now_ms = time.time_ns() // 1_000_000
        lags = dict.fromkeys((*self._settings.sources, self._settings.user_info_changes_topic), 0)
        for place in self._committed:
            _, high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            # Not the client's position, which is one too far where it told of an end (librdkafka 2.12.1).
            position = self._progress.position(place)
            lags[place[0]] += max(high - position, 0)
            if 0 <= high <= position:
                self._progress.catch_up(place, now_ms)
        if not any(lags.values()):
            self._progress.committed_at = time.monotonic()
        for topic, lag in lags.items():
            age = (now_ms - self._read_ms.get(topic, now_ms)) / 1000 if lag else 0.0
            self._metrics.lag_records.labels(topic).set(lag)
            self._metrics.lag_seconds.labels(topic).set(max(age, 0.0))

    def _skip_markers(self) -> None:
        """Have the internal topic's markers of transactions committed as read: then nothing of it needs to stay."""
        for place, committed in self._committed.items():
            position = self._progress.position(place)
            if place[0] == self._settings.user_info_changes_topic and position > committed:
                self._processing_context.store_offset(*place, position - 1)
                self._current_work().offsets[place] = position - 1

    def _on_assign(self, consumer: object, topic_partitions: list[TopicPartition]) -> None:
        # Called without partitions too, where there are more joiners than partitions: that one stands by.
        with self._told_afterwards():
            super()._on_assign(consumer, topic_partitions)
        self._joined = True
        self._metrics.rebalances.inc()

    def _assign_partitions(self, topic_partitions: list[TopicPartition]) -> None:
        self._health.enter("restoring")
        read = [tp for tp in topic_partitions if tp.topic not in self._prepared.changelogs]
        stores = [tp for tp in topic_partitions if tp.topic in self._prepared.changelogs]
        self._oldest_trusted.update(trusted_offsets(self._consumer, stores, self._prepared.forgets_ms))
        super()._assign_partitions(topic_partitions)
        committed = self._consumer.committed([TopicPartition(tp.topic, tp.partition) for tp in read], timeout=30)
        self._committed = {(tp.topic, tp.partition): max(tp.offset, 0) for tp in committed}
        self._first_read = {(tp.topic, tp.partition) for tp in committed if tp.offset < 0}
        self._progress.assign(self._committed)
        for place, offset in self._committed.items():
            # Its last owner may not have come to trim it.
            self._progress.consume(place, offset)
        logger.info("assigned %d partitions", len(read))

    def _on_revoke(self, consumer: object, topic_partitions: list[TopicPartition]) -> None:
        with self._told_afterwards():
            super()._on_revoke(consumer, topic_partitions)
        self._let_go()
        # Whether the commit of a partition that is given away succeeded is not told.
        self._closing = None
        for tp in topic_partitions:
            self._committed.pop((tp.topic, tp.partition), None)
        self._progress.assign(self._committed)
        logger.info("gave up %d partitions", len(topic_partitions))

    def _on_lost(self, consumer: object, topic_partitions: list[TopicPartition]) -> None:
        # Somebody else may own them by now: nothing of the open checkpoint may be committed.
        self._committed.clear()
        self._progress.assign({})
        self._let_go()
        with self._told_afterwards():
            super()._on_lost(consumer, topic_partitions)
            if self._consumer._broker_unavailable_since is not None:  # noqa: SLF001 - the engine tells nobody
                raise Interrupted("Kafka was out of reach for longer than a session")
            raise StateError(
                f"{len(topic_partitions)} partitions were lost to another joiner, since this one was paused or cut off"
                " from Kafka for longer than its session; it ends without committing, start it again"
            )

    @contextmanager
    def _told_afterwards(self) -> Iterator[None]:
        """Keep what a callback of the client raises for the loop, which raises it as soon as the client returns.

        The client serves several callbacks in one call and loses all but one error; and one that was raised while
        partitions were assigned keeps it from ever closing.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised again
            # From here on nothing may be committed, in a callback that follows at once.
            self._failed = True
            self._broken = self._broken or error

    def _check_place(self) -> None:
        """Make sure that nothing says that this process must not go on, and tell that it goes on."""
        self._health.beat()
        broken = self._broken or self._progress.failure
        if broken is not None:
            self._broken = None
            try:
                raise broken
            finally:
                # It holds this frame, which would hold it, and with it whatever was open on its way: stores and locks.
                del broken

    def _on_sigterm(self, *arguments: object) -> None:
        self._told_to_stop = True
        super()._on_sigterm(*arguments)  # type: ignore[no-untyped-call]

    def _on_sigint(self, *arguments: object) -> None:
        self._told_to_stop = True
        super()._on_sigint(*arguments)  # type: ignore[no-untyped-call]
