"""One turn of the loop: note what was committed, take a batch of messages, hand them to joiner.core.checkpoint.

Replaces Quix's processing of one message at a time, which costs tens of microseconds each however little is done with
it. What a row means is decided in joiner.core; what is written at a commit is in joiner.engine.outputs.
"""

import time
from collections.abc import Iterable

from confluent_kafka import Message
from quixstreams.internal_consumer import InternalConsumer
from quixstreams.internal_producer import InternalProducer
from quixstreams.processing import ProcessingContext

from joiner.context import Context
from joiner.core.build import BUILD_KEY
from joiner.core.chain import decode_links
from joiner.core.commit_policy import BATCH, CommitPolicy, limit_wait
from joiner.core.records import PartitionId, SourceRecord
from joiner.core.watermarks import WATERMARKS_KEY
from joiner.dead_letters.letter import UnreadableRecord
from joiner.engine.assignment import Assignment
from joiner.engine.errors import translate_read_error
from joiner.engine.lag_meter import LagMeter
from joiner.engine.loop_guard import LoopGuard
from joiner.engine.open_checkpoint import Checkpoints
from joiner.engine.quix_internals import note_brokers_available, seconds_left, set_commit_interval
from joiner.engine.serving import Serving
from shared.clock import now_ms
from shared.errors import BadRow, StateError
from shared.kafka import is_end_of_partition

MARK_SECONDS = 1.0
"""How often parts say how far their build is."""

MEASURE_SECONDS = 1.0
"""How often lags are measured, and the internal topic's markers skipped."""


class Loop:
    """Takes batches until Quix stops. Used by the loop's thread alone.

    Args:
        context: settings, health and metrics.
        processing: Quix's; its clients are used, and its open checkpoint.
        assignment: the partitions whose records are taken.
        checkpoints: holds what was read since the last commit.
        guard: says whether to continue.
    """

    def __init__(
        self,
        context: Context,
        processing: ProcessingContext,
        assignment: Assignment,
        checkpoints: Checkpoints,
        guard: LoopGuard,
    ) -> None:
        self._sources = context.settings.tables
        self._changes_topic = context.settings.user_info_changes_topic
        self._health = context.health
        self._metrics = context.metrics
        self._processing = processing
        self._producer: InternalProducer = processing.producer
        self._consumer: InternalConsumer = processing.consumer
        self._assignment = assignment
        self._checkpoints = checkpoints
        self._lag_meter = LagMeter(context, processing.consumer, assignment)
        self._guard = guard
        self.serving: Serving | None = None
        """Has users answered for, where that is wanted; set before the loop begins."""
        self._policy = CommitPolicy(
            context.settings.joiner_commit_interval_seconds, context.settings.joiner_commit_interval_max_seconds
        )
        self._measure_at = 0.0
        self._mark_at = 0.0

    def run_once(self) -> None:
        """Take one batch, or wait for one as long as the open checkpoint allows."""
        self._guard.check()
        if self._assignment.was_assigned:
            self._health.enter("running")
        if self._checkpoints.open is None:
            self._note_commit()
        passes = self._carry_builds_on()
        if self.serving is not None:
            self.serving.carry_on()
        self._producer.poll(0)
        left = seconds_left(self._processing.checkpoint)
        messages = self._consumer.consume(num_messages=BATCH, timeout=limit_wait(left))
        self._guard.check()
        if messages:
            self._take([message for message in messages if message.error() is None])
            self._note_ends(message for message in messages if message.error() is not None)
            note_brokers_available(self._producer, self._consumer)
        held = 0 if self._checkpoints.open is None else self._checkpoints.open.size
        taken = min(len(messages), BATCH - 1) if passes else len(messages)
        set_commit_interval(self._processing.checkpoint, self._policy.choose_interval(taken, held))

    def _take(self, messages: list[Message]) -> None:
        """Hand records to the open checkpoint; dead letters are kept in it as well.

        Raises:
            StateError: continuing would not be exact; nothing of the open checkpoint is committed.
        """
        if not messages:
            return
        clock_ms = now_ms()
        current = self._checkpoints.current()
        sources, owned, first_read = self._sources, self._assignment.next_offsets, self._assignment.first_read
        read_ms = self._lag_meter.read_ms
        rows, notices, watermarks_before = dict.fromkeys(sources, 0), 0, len(current.watermarks)
        offsets: dict[PartitionId, int] = {}
        key_forms = self._checkpoints.key_forms
        key_matches = key_forms.matches
        for message in messages:
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if (topic, partition) not in owned:
                raise StateError(
                    f"a record of {topic}[{partition}] came after that partition had been released",
                    hint="start it again",
                )
            time_ms = message.timestamp()[1]
            time_ms = time_ms if time_ms > 0 else clock_ms
            table = sources.get(topic)
            if table is None and message.key() == WATERMARKS_KEY:
                current.watermarks.append((partition, message.value()))
            elif table is None and message.key() == BUILD_KEY:
                notices += 1
                current.checkpoint.take_notice(current.store(topic, partition), message.value())
            elif table is None:
                links, where = decode_links(message.headers()), f"{topic}[{partition}]@{offset}"
                current.checkpoint.take_changes(current.store(topic, partition), offset, message.value(), links, where)
            else:
                rows[topic] += 1
                store = current.store(topic, partition) if table.columns else None
                is_news = (topic, partition) not in first_read
                key = message.key()
                record = SourceRecord(key, message.value(), time_ms, clock_ms, is_news)
                try:
                    current.checkpoint.take_row(table, store, record)
                    if not key_matches[topic](key):
                        key_forms.check(topic, key, f"{topic}[{partition}]@{offset}")
                except BadRow as bad:
                    current.letters.append(
                        (UnreadableRecord(topic, partition, offset, key, record.value, time_ms), bad)
                    )
            offsets[topic, partition] = offset
            read_ms[topic] = time_ms
        current.note_offsets(offsets)
        self._assignment.progress.note_read(offsets)
        for topic, count in rows.items():
            self._metrics.rows.labels(sources[topic].name).inc(count)
        others = notices + len(current.watermarks) - watermarks_before
        self._metrics.changes.inc(len(messages) - sum(rows.values()) - others)

    def _carry_builds_on(self) -> bool:
        """Have the open checkpoint write a piece of each part's pass, and from time to time how far each build is.

        Returns:
            Whether a pass is under way.

        Not right behind a poll: in it partitions may have been assigned whose stores are not restored yet.
        """
        passes = False
        progress, now = self._assignment.progress, time.monotonic()
        if progress.build is None:
            return passes
        is_due = now >= self._mark_at
        if is_due:
            self._mark_at = now + MARK_SECONDS
        for (topic, number), next_offset in self._assignment.next_offsets.items():
            part = progress.part(number)
            if topic != self._changes_topic or (part is not None and part.phase == "whole"):
                continue
            passes = passes or (part is not None and part.phase == "writing")
            current = self._checkpoints.current()
            if part is None or is_due:
                current.marks_due.add(number)
            if part is None or is_due or part.phase == "writing":
                current.hold_part(topic, number, next_offset)
        return passes

    def _note_ends(self, events: Iterable[Message]) -> None:
        """Note where partitions end, with the checkpoint that leads there.

        Raises:
            UserInformationError: the client reports an error instead.
        """
        for event in events:
            if not is_end_of_partition(event):
                raise translate_read_error(event)
            partition = event.topic(), event.partition()
            if partition not in self._assignment.next_offsets:
                continue
            self._assignment.first_read.discard(partition)
            if self._checkpoints.open is None:
                self._assignment.progress.note_position(partition, event.offset())
            else:
                self._checkpoints.open.ends[partition] = event.offset()

    def _note_commit(self) -> None:
        """Note that a checkpoint is committed, if one was closing; measure the lags from time to time."""
        committed = self._checkpoints.take_committed()
        now = time.monotonic()
        if committed is not None:
            seconds = now - committed.since.monotonic
            self._policy.note_commit(seconds)
            self._metrics.checkpoint_seconds.observe(seconds)
            self._assignment.note_commit(committed)
            if self.serving is not None:
                self.serving.confirm(committed.since)
        if now >= self._measure_at and self._assignment.was_assigned:
            self._measure_at = now + MEASURE_SECONDS
            self._lag_meter.measure()
            self._skip_markers()

    def _skip_markers(self) -> None:
        """Have markers of transactions in the internal topic committed as read: then none of its records need stay."""
        markers = self._assignment.find_trailing_markers(self._changes_topic)
        if markers:
            self._checkpoints.current().note_offsets(markers)
