"""The joiner as a Quix application: declares topics and stores, and answers the callbacks of the Kafka client.

Quix brings the consumer group, RocksDB stores with changelog topics, and the transaction that commits offsets, output
and changelogs together. The parts of it that are replaced are in the modules next to this one: loop.py takes a batch,
outputs.py writes a checkpoint, stores.py reads and writes stores, recovery.py restores them.
"""

import gc
import logging
from functools import partial
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from quixstreams import Application
from quixstreams.kafka import ConnectionConfig
from quixstreams.models import TopicConfig
from quixstreams.state.rocksdb import RocksDBOptions

from joiner.background.progress import CommittedProgress
from joiner.context import Context
from joiner.core.checkpoint import Checkpoint
from joiner.core.commit_policy import MAX_WAIT_SECONDS
from joiner.core.key_forms import KeyForms
from joiner.core.records import PartitionId
from joiner.engine.assignment import Assignment
from joiner.engine.build_marks import BuildMarks
from joiner.engine.epochs import EpochKeeper
from joiner.engine.errors import is_engine_error, translate_error
from joiner.engine.loop import Loop
from joiner.engine.loop_guard import LoopGuard
from joiner.engine.open_checkpoint import Checkpoints
from joiner.engine.outputs import Outputs
from joiner.engine.quix_internals import is_unreachable, reader_of, recovery_manager
from joiner.engine.recovery import high_watermark, restore_everything, restore_in_batches, restore_to_the_end
from joiner.engine.serving import Serving
from joiner.engine.stores import OpenStores
from joiner.kafka import config
from joiner.kafka.offsets import find_trusted_offsets
from joiner.kafka.topics import PreparedTopics
from shared.errors import Interrupted, StateError, UserInformationError
from shared.topics import CHANGELOG_CONFIG

logger = logging.getLogger(__name__)


class JoinerApplication(Application):
    """Quix's application, whose messages are taken in batches.

    All of it runs in the thread that calls `join`: Kafka's client calls back in a poll, signals arrive there. The one
    exception is the closing of a checkpoint in a rebalance, for which Quix starts a thread (see Checkpoints); of this
    object that thread sets `_failed` only, which is never cleared.

    Args:
        context: what the process keeps.
        prepared: the joiner's topics.
        key_forms: what is known of the source topics' keys.
        progress: receives what is committed; its failure ends the loop.
    """

    def __init__(
        self, context: Context, prepared: PreparedTopics, key_forms: KeyForms, progress: CommittedProgress
    ) -> None:
        super().__init__(**_options(context))
        self._context = context
        self._prepared = prepared
        self.stop_requested = False
        """True once a signal has asked for the end, whether the loop has followed it or was broken off before."""
        # Changelog partition -> how far a local store must have come; recovery reads it.
        self._oldest_trusted: dict[PartitionId, int] = {}
        self._epochs = EpochKeeper(self._producer, context.metrics)
        self._stores = OpenStores()
        self._guard = LoopGuard(context.health, progress, self._refuse_commits)
        begin = partial(Checkpoint, context.settings.plan, progress.build, context.avro)
        joiner = context.settings.transactional_id
        self._checkpoints = Checkpoints(
            self._processing_context, self._stores, self._refuse_commits, key_forms, begin, joiner=joiner
        )
        self._assignment = Assignment(progress)
        self._serving = self._begin_serving()
        self._loop = Loop(context, self._processing_context, self._assignment, self._checkpoints, self._guard)
        self._loop.serving = self._serving
        self._watermark_consumer = Consumer(config.query_config(context.settings, context.properties))
        self._declare()
        _tune_garbage_collection()

    def _declare(self) -> None:
        """Declare the topics that are read, the stores of those that have one, and how stores are restored."""
        settings = self._context.settings
        marks = BuildMarks(self._assignment.progress, self._prepared)
        outputs = Outputs(self._context, self._prepared, self._producer, self._checkpoints, marks)
        for name in (*settings.sources, settings.user_info_changes_topic):
            topic = self.topic(name, key_deserializer="bytes", value_deserializer="bytes")
            self.dataframe(topic).sink(outputs)
            if name not in settings.changelogs:
                continue
            self._state_manager.register_store(
                stream_id=name,
                changelog_config=TopicConfig(
                    num_partitions=topic.broker_config.num_partitions,
                    replication_factor=topic.broker_config.replication_factor,
                    extra_config=dict(CHANGELOG_CONFIG),
                ),
            )
        restore_everything(self._state_manager, self._oldest_trusted, settings.changelogs)
        manager = recovery_manager(self._state_manager)
        restore_in_batches(manager, self._guard.check)
        restore_to_the_end(manager, lambda topic, partition: high_watermark(self._watermark_consumer, topic, partition))

    def _begin_serving(self) -> Serving | None:
        """Return what has users answered for; None where that is not wanted."""
        queries, topic = self._context.queries, self._context.settings.user_info_changes_topic
        if queries is None:
            return None
        open_store = partial(reader_of, self._state_manager, topic)
        return Serving(queries.held, topic, self._assignment, self._checkpoints, open_store)

    def join(self) -> None:
        """Join until told to stop.

        Raises:
            Interrupted: Kafka broke off work in progress; a new application continues from the last commit.
            StateError: continuing would not be exact; its hint says what to do.
        """
        try:
            self.run()
        except Exception as error:
            if isinstance(error, UserInformationError) or not is_engine_error(error):
                raise
            # Not kept in a variable here: it would hold this frame, which would hold it, and with it all that was open.
            raise translate_error(error) from error
        finally:
            self._stop_serving()
            self._checkpoints.drop()
            self._guard.forget()
            self._stores.close()

    def _stop_serving(self) -> None:
        """Have nothing answered any more, and let go of the stores: before they are closed."""
        if self._serving is not None:
            self._serving.release()

    def _process_message(self, dataframe_composed: object) -> None:  # noqa: ARG002 - Quix calls it so
        self._loop.run_once()

    def _on_assign(self, consumer: object, topic_partitions: list[TopicPartition]) -> None:
        # Called without partitions too, if there are more joiners than partitions: this one is on standby then.
        if self._serving is not None:
            self._serving.assign()
        with self._guard.defer_errors():
            super()._on_assign(consumer, topic_partitions)
        self._assignment.was_assigned = True
        self._context.metrics.rebalances.inc()

    def _assign_partitions(self, topic_partitions: list[TopicPartition]) -> None:
        self._context.health.enter("restoring")
        read = self._leave_out_changelogs(topic_partitions)
        stores = [tp for tp in topic_partitions if tp.topic in self._prepared.changelogs]
        self._oldest_trusted.update(find_trusted_offsets(self._consumer, stores, self._prepared.forgets_ms))
        super()._assign_partitions(topic_partitions)
        self._checkpoints.ends = {
            (tp.topic, tp.partition): high_watermark(self._watermark_consumer, tp.topic, tp.partition)
            for tp in read
            if tp.topic == self._context.settings.user_info_changes_topic
        }
        partitions = [TopicPartition(tp.topic, tp.partition) for tp in read]
        self._assignment.assign(self._consumer.committed(partitions, timeout=config.REQUEST_SECONDS))
        logger.info("assigned %d partitions", len(read))

    def _on_revoke(self, consumer: object, topic_partitions: list[TopicPartition]) -> None:
        self._stop_serving()
        with self._guard.defer_errors():
            super()._on_revoke(consumer, topic_partitions)
        self._stores.close()
        self._checkpoints.forget_closing()
        self._assignment.release(topic_partitions)
        logger.info("released %d partitions", len(self._leave_out_changelogs(topic_partitions)))

    def _on_lost(self, consumer: object, topic_partitions: list[TopicPartition]) -> None:
        # Other joiners may own them by now, so nothing of the open checkpoint may be committed. Hence the order: in a
        # revoke Quix first commits, for which it needs the stores and the partitions; here both go before its turn.
        lost = len(self._leave_out_changelogs(topic_partitions))
        self._stop_serving()
        self._assignment.release_all()
        self._stores.close()
        with self._guard.defer_errors():
            super()._on_lost(consumer, topic_partitions)
            if is_unreachable(self._consumer):
                raise Interrupted("Kafka was out of reach for longer than a session")
            raise StateError(
                f"{lost} partitions were lost to another joiner, since the group did not hear from"
                " this one for longer than its session; it ends without committing",
                hint="start it again",
            )

    def _leave_out_changelogs(self, topic_partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Return the partitions that are joined; Quix's consumer is assigned those of changelogs as well."""
        return [tp for tp in topic_partitions if tp.topic not in self._prepared.changelogs]

    def _refuse_commits(self) -> None:
        """Stop Quix from committing anything more of this application: its callbacks and its exit read `_failed`."""
        self._failed = True

    def _on_sigterm(self, *arguments: object) -> None:
        self.stop_requested = True
        super()._on_sigterm(*arguments)  # type: ignore[no-untyped-call]

    def _on_sigint(self, *arguments: object) -> None:
        self.stop_requested = True
        super()._on_sigint(*arguments)  # type: ignore[no-untyped-call]


def _options(context: Context) -> dict[str, Any]:
    """Return the arguments of Quix's application."""
    settings = context.settings
    return {
        "broker_address": ConnectionConfig(bootstrap_servers=settings.kafka_bootstrap_servers),
        "consumer_group": settings.joiner_group,
        "auto_offset_reset": "earliest",
        "processing_guarantee": "exactly-once",
        "commit_interval": settings.joiner_commit_interval_seconds,
        "consumer_poll_timeout": MAX_WAIT_SECONDS,
        "consumer_extra_config": config.consumer_config(settings, context.properties),
        "producer_extra_config": config.producer_config(settings, context.properties),
        "state_dir": settings.local_state,
        "rocksdb_options": RocksDBOptions(
            write_buffer_size=16 * 1024 * 1024,
            target_file_size_base=16 * 1024 * 1024,
            max_write_buffer_number=2,
            block_cache_size=128 * 1024 * 1024,
            compression_type="lz4",
            # No other process should have the folder open; one that has will not end soon.
            open_max_retries=2,
            open_retry_backoff=1.0,
        ),
        "auto_create_topics": True,
        # Deleting state and continuing with less than the truth is never right here.
        "auto_recover_from_source_offset_out_of_range": False,
        "loglevel": None,
    }


def _tune_garbage_collection() -> None:
    """Look for cycles less often: a checkpoint is hundreds of thousands of small objects, none of them in a cycle.

    At Python's own pace that would take a tenth of all time.
    """
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
