"""What is done next to the loop, every few seconds: notes, trimming, the topics themselves.

None of it decides what a record says, and none of it may hold the loop up: while Kafka cannot be reached it costs a
warning, and the next round makes up for it. Only topics that no longer belong to the state, or that were reconfigured
so that they lose data, end the loop.
"""

import logging
import time
from concurrent.futures import Future
from functools import partial

from confluent_kafka import KafkaException, TopicPartition

from joiner.background.progress import CommittedProgress
from joiner.context import Context
from joiner.core.compatibility import RESET, ClusterFacts, LedgerNotes, find_mismatches
from joiner.kafka.config import SHORT_REQUEST_SECONDS
from joiner.kafka.ledger import Ledger, caught_up_key
from joiner.kafka.offsets import read_state_inputs
from joiner.kafka.topic_checks import find_violations, read_configs, warn_or_refuse
from shared.clock import now_ms
from shared.errors import KafkaError, StateError
from shared.threads import BackgroundThread
from shared.topic_rules import ENDS_RUN

logger = logging.getLogger(__name__)

MAX_INTERVAL_SECONDS = 10.0
MIN_INTERVAL_SECONDS = 1.0

ANSWER_SECONDS = 5.0
"""How long a broker may take to answer before the round is given up."""

CONFIGS_SECONDS = 10.0
"""How often the topics' configuration is read: people change topics by hand, and rarely."""


class Maintenance(BackgroundThread):
    """Works in rounds until it is stopped.

    `CommittedProgress` is shared with the loop; all else is this thread's own, but for `_note_failure`, which the admin
    client's thread calls.

    Args:
        context: what the process keeps.
        found: the topics that the state was built from.
        progress: what the loop has committed.
        warned: what the start has warned of about topics.
    """

    stop_seconds = 3.0

    def __init__(
        self,
        context: Context,
        found: ClusterFacts,
        progress: CommittedProgress,
        warned: frozenset[str],
    ) -> None:
        super().__init__("maintenance")
        self._admin = context.admin
        self._settings = context.settings
        self._found = found
        self._progress = progress
        self._configs_at = time.monotonic() + CONFIGS_SECONDS
        self._warned = warned
        self._ledger = Ledger(context.client, context.settings.ledger_topic)
        # An absence is measured from the last note, so notes are much closer together than the time for which sources
        # remember deletions.
        remembered = min(found.forgets_ms.values(), default=int(MAX_INTERVAL_SECONDS * 10_000)) / 10_000
        self._seconds = min(max(remembered, MIN_INTERVAL_SECONDS), MAX_INTERVAL_SECONDS)

    def _run(self) -> None:
        """Work in rounds; once stopped, note a last time how far the loop has come, if Kafka answers soon."""
        stopping = False
        while not stopping:
            stopping = self.stopping.wait(self._seconds)
            try:
                self._note_caught_up()
                if not stopping:
                    self._do_round()
            except (KafkaException, KafkaError) as error:
                logger.warning("maintenance: %s; trying again in %.0f s", error, self._seconds)
            except Exception as error:  # noqa: BLE001 - whatever it is, it must end the loop
                self._progress.failure = error
                return

    def _note_caught_up(self) -> None:
        """Note in the ledger when this process last read its source partitions to their ends."""
        caught_up = self._progress.take_caught_up()
        sources = {each: time_ms for each, time_ms in caught_up.items() if each[0] in self._settings.sources}
        self._ledger.write({caught_up_key(each): str(time_ms).encode() for each, time_ms in sources.items()})

    def _do_round(self) -> None:
        # librdkafka has ended the whole process when a broker came back under an admin request that had timed out. So
        # no such request is made before the broker has answered a simpler one.
        self._admin.list_topics(self._settings.user_info_topic, timeout=ANSWER_SECONDS)
        self._check_topics()
        self._check_configs()
        self._trim()

    def _check_topics(self) -> None:
        """End the loop if a topic was deleted and created again, or repartitioned, since the loop began."""
        inputs = read_state_inputs(self._admin, self._found.inputs.topics, self._settings)
        mismatches = find_mismatches(LedgerNotes(self._found.inputs), ClusterFacts(inputs, {}, {}, {}, {}, now_ms()))
        if mismatches:
            raise StateError("; ".join(mismatches), hint=RESET)

    def _check_configs(self) -> None:
        """End the loop if a topic was reconfigured so that it loses data; warn where it may refuse records."""
        if time.monotonic() >= self._configs_at:
            self._configs_at = time.monotonic() + CONFIGS_SECONDS
            violations = find_violations(self._settings, read_configs(self._admin, self._settings))
            self._warned = warn_or_refuse(violations, ENDS_RUN, self._warned)

    def _trim(self) -> None:
        """Delete the internal records whose processing is committed: nothing reads them again."""
        topic = self._settings.user_info_changes_topic
        consumed = [
            TopicPartition(name, partition, offset)
            for (name, partition), offset in self._progress.take_consumed().items()
            if name == topic and offset > 0
        ]
        if consumed:
            deletions = self._admin.delete_records(consumed, request_timeout=SHORT_REQUEST_SECONDS)
            for partition, deleted in deletions.items():
                deleted.add_done_callback(partial(self._note_failure, partition))

    def _note_failure(self, partition: TopicPartition, deleted: Future[object]) -> None:
        error = deleted.exception()
        if error is not None:
            logger.warning("cannot delete consumed records of the internal topic, which keeps growing: %s", error)
            self._progress.note_consumed((partition.topic, partition.partition), partition.offset)
