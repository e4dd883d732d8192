"""What is done beside the loop, every few seconds: notes, trimming, the topics' identity, the end of a rebuild.

None of it decides what a record says, and none of it may hold the loop up: Kafka out of reach costs a warning, and the
next round makes good for it. Only topics that are no longer those of the state end the loop.
"""

import logging
import threading
import time
from concurrent.futures import Future
from functools import partial

from confluent_kafka import KafkaException, TopicPartition

from joiner.background.progress import CommittedProgress
from joiner.context import Context
from joiner.core.compatibility import RESET, ClusterFacts, LedgerNotes, find_mismatches
from joiner.kafka.ledger import Ledger, caught_up_key
from joiner.kafka.offsets import read_state_inputs
from joiner.rebuild import finish_rebuild
from shared.errors import KafkaError, StateError

logger = logging.getLogger(__name__)

LONGEST_SECONDS = 10.0
SHORTEST_SECONDS = 1.0
STOP_SECONDS = 3.0
ANSWER_SECONDS = 5.0


class Maintenance:
    """A thread that works beside the loop until it is stopped.

    Args:
        around: what the process keeps.
        found: the topics that the state was built from.
        progress: what the loop notes.
        rebuilding: True while a rebuild is not finished.
    """

    def __init__(self, around: Context, found: ClusterFacts, progress: CommittedProgress, *, rebuilding: bool) -> None:
        self._admin = around.admin
        self._client = around.client
        self._settings = around.settings
        self._sources = around.settings.sources
        self._found = found
        self._progress = progress
        self._rebuilding = rebuilding
        self._ledger = Ledger(around.client, around.settings.ledger_topic)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        # An absence is measured from the last note, so notes are much closer than what sources remember deletions for.
        remembered = min(found.forgets_ms.values(), default=int(LONGEST_SECONDS * 10_000)) / 10_000
        self._seconds = SHORTEST_SECONDS if rebuilding else min(max(remembered, SHORTEST_SECONDS), LONGEST_SECONDS)

    def __enter__(self) -> None:
        """Start it."""
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        """Stop it, having noted once more how far the loop has come, if Kafka answers soon."""
        self._stop.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stop.wait(self._seconds)
            try:
                self._note()
                if not stopping:
                    self._round()
            except (KafkaException, KafkaError) as error:
                logger.warning("upkeep: %s; trying again in %.0f s", error, self._seconds)
            except Exception as error:  # noqa: BLE001 - whatever it is, the loop must hear of it
                self._progress.failure = error
                return

    def _note(self) -> None:
        """Note when this process's source partitions were last read to their ends."""
        caught_up = self._progress.take_caught_up()
        notes = {caught_up_key(place): str(ms).encode() for place, ms in caught_up.items() if place[0] in self._sources}
        self._ledger.write(notes)

    def _round(self) -> None:
        # librdkafka has ended the whole process where a broker came back under an admin request that had timed out, so
        # none is begun before the broker has answered something simpler.
        self._admin.list_topics(self._settings.user_info_topic, timeout=ANSWER_SECONDS)
        self._check_topics()
        self._trim()
        if self._rebuilding and self._progress.owns((self._settings.user_info_changes_topic, 0)):
            self._rebuilding = not finish_rebuild(self._ledger, self._client, self._settings, self._found.inputs)

    def _check_topics(self) -> None:
        """End the loop where a topic was made anew or repartitioned under it."""
        now = ClusterFacts(
            read_state_inputs(self._admin, self._found.inputs.topics), {}, {}, {}, {}, time.time_ns() // 1_000_000
        )
        wrong = find_mismatches(LedgerNotes(self._found.inputs), now)
        if wrong:
            raise StateError(f"{'; '.join(wrong)}: {RESET}")

    def _trim(self) -> None:
        """Delete the internal records that are consumed and committed: nobody reads them again."""
        topic = self._settings.user_info_changes_topic
        consumed = [
            TopicPartition(name, partition, offset)
            for (name, partition), offset in self._progress.take_consumed().items()
            if name == topic and offset > 0
        ]
        if consumed:
            for place, deleted in self._admin.delete_records(consumed, request_timeout=10).items():
                deleted.add_done_callback(partial(self._note_failure, place))

    def _note_failure(self, place: TopicPartition, deleted: Future[object]) -> None:
        error = deleted.exception()
        if error is not None:
            logger.warning("cannot delete consumed records of the internal topic, which goes on growing: %s", error)
            self._progress.consume((place.topic, place.partition), place.offset)
