"""Writes what a checkpoint has decided into its open transaction: changes, records, dead letters, states.

Quix calls it when it commits, as it calls any sink, just before it writes the changelogs. What is written is decided in
joiner.core.checkpoint.
"""

import logging

from quixstreams.internal_producer import InternalProducer
from quixstreams.sinks import BaseSink

from joiner.context import Context
from joiner.core.chain import CHAIN_HEADER, encode_links
from joiner.core.checkpoint import CHANGES_KEY
from joiner.dead_letters.letter import UnreadableRecord, to_message
from joiner.engine.build_marks import BuildMarks
from joiner.engine.open_checkpoint import Checkpoints, OpenCheckpoint
from joiner.engine.producer import RecordSender
from joiner.kafka.topics import PreparedTopics
from shared import logs
from shared.errors import BadRow
from shared.records import OLDEST_CHANGE_HEADER

logger = logging.getLogger(__name__)


class Outputs(BaseSink):
    """The joiner's only sink.

    Runs in the loop's thread, or in a rebalance in one that Quix starts for it (see Checkpoints), never in both for one
    checkpoint; the loop's thread commits. Changes nothing of its own; the metrics and the producer may be used from any
    thread.

    Args:
        context: names of topics, and metrics.
        prepared: the joiner's topics.
        producer: Quix's, whose transaction is open.
        checkpoints: holds what is to be written.
        marks: makes the marks of builds.
    """

    def __init__(
        self,
        context: Context,
        prepared: PreparedTopics,
        producer: InternalProducer,
        checkpoints: Checkpoints,
        marks: BuildMarks,
    ) -> None:
        super().__init__()
        self._settings = context.settings
        self._metrics = context.metrics
        self._prepared = prepared
        self._producer = producer
        self._checkpoints = checkpoints
        self._marks = marks

    def setup(self) -> None:
        """Connect to nothing."""

    def add(self, *_: object, **__: object) -> None:
        """Take nothing: records do not come through Quix's dataframes."""

    def flush(self) -> None:
        """Write everything that the open checkpoint has decided; one that Quix has dropped writes nothing."""
        closing = self._checkpoints.begin_closing()
        if closing is None:
            return
        self._write_changes(closing)
        self._write_records(closing)
        self._write_marks(closing)
        self._write_dead_letters(closing.letters)
        closing.checkpoint.save()

    def _write_changes(self, closing: OpenCheckpoint) -> None:
        topic, partitions = self._settings.user_info_changes_topic, self._prepared.changes_partitions
        for partition, pack in closing.checkpoint.pack_changes(partitions):
            self._checkpoints.require_open(closing)
            headers = [(CHAIN_HEADER, encode_links(closing.link_pack(partition, partitions)))]
            RecordSender(self._producer, topic, partition, headers)(CHANGES_KEY, pack)

    def _write_records(self, closing: OpenCheckpoint) -> None:
        send = RecordSender(self._producer, self._settings.user_info_topic)
        for record in closing.checkpoint.render_records():
            self._checkpoints.require_open(closing)
            headers = None if record.oldest_ms is None else [(OLDEST_CHANGE_HEADER, str(record.oldest_ms))]
            send(record.key, record.value, timestamp=record.newest_ms, headers=headers)
        self._metrics.records.inc(send.sent)
        self._metrics.unknown_values.inc(closing.checkpoint.unknown_values)

    def _write_marks(self, closing: OpenCheckpoint) -> None:
        """Write how far builds are, behind the records."""
        parts = closing.find_builds()
        self._checkpoints.note_builds(parts)
        for partition, mark in self._marks.make(closing, parts):
            RecordSender(self._producer, self._settings.user_info_topic, partition)(mark.key, mark.value)

    def _write_dead_letters(self, letters: list[tuple[UnreadableRecord, BadRow]]) -> None:
        for letter, bad in letters:
            key, value, headers = to_message(letter, bad, self._prepared.letter_room)
            self._producer.produce(topic=self._settings.dead_letters_topic, key=key, value=value, headers=headers)
            self._metrics.dead_letters.labels(bad.reason).inc()
        if letters:
            (first, bad), more = letters[0], len(letters) - 1
            where = logs.record_fields(first.topic, first.partition, first.offset)
            logger.warning(
                "dead letter: %s: %s%s", first.location, bad, f", and {more} more" if more else "", extra=where
            )
