"""Keeps the live copy equal to the topic, in a thread of its own: session after session.

Guarantees: what is served is one topic's, complete up to the ends that were seen at some start. Once a copy is served
it stays served, whatever happens to Kafka. Knows neither Kafka's client (see replication.kafka.topic) nor LMDB.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from reader.replication.copy_selector import CopySelector
from reader.replication.copy_writer import CopyWriter
from reader.replication.status_publisher import StatusPublisher
from reader.settings import ReaderSettings
from reader.status.counters import ApplyCounters
from reader.status.report import LiveCopy, StatusReport
from reader.storage.errors import DamagedError
from reader.storage.generations import Generations
from reader.storage.read_view import RunBetweenReads
from reader.storage.records import FORMAT
from reader.storage.store import Store
from replication.compatibility import CopyIdentity, find_gap
from replication.description import describe_session
from replication.kafka.topic import REQUEST_SECONDS, TopicClient
from replication.lags import NO_LAGS
from replication.positions import Bounds, Positions
from replication.readiness import Readiness, State, find_complete_at
from replication.session import ReplicationSession
from replication.topic_monitor import CHECK_SECONDS, TopicMonitor
from shared.errors import KafkaError, TopicError
from shared.threads import BackgroundThread

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
"""Between two sessions: how often a Kafka that is away is asked again."""

PATIENCE_SECONDS = 10.0
"""How long a reader that has complete data waits for Kafka at its start before it serves what it has."""


REMEDY = "stop the reader, delete its READER_STATE_DIR and start it"
"""Where the topic is complete though the copy cannot go on in it."""


class _Refused(Exception):  # noqa: N818 - a decision, not a failure
    """There is no sound way to continue; the message says what to do."""


class _Restart(Exception):  # noqa: N818 - a decision, not a failure
    """The live copy is another one now; another session begins at once."""


class Replicator(BackgroundThread):
    """Keeps the live copy up to date.

    The replicator thread alone writes and reads what is here, with three exceptions: `stopping`, which any thread may
    set; `status`, which it writes and any thread reads; and which copy is live, which it decides (see Generations).

    Args:
        settings: which topic, and where.
        properties: further properties of the Kafka client.
        generations: the copies on disk.
        run_between_reads: runs a function in the thread that reads the store, between two reads.
    """

    stop_seconds = 1.5
    """For the batch at hand; a Kafka that does not answer is not waited for."""

    def __init__(
        self,
        settings: ReaderSettings,
        properties: Mapping[str, str],
        generations: Generations,
        run_between_reads: RunBetweenReads,
    ) -> None:
        super().__init__("replicator")
        self.status = StatusPublisher(generations.live, settings.reader_max_staleness_seconds)
        self._shard = settings.shard
        servers, name = settings.kafka_bootstrap_servers, settings.user_info_topic
        self._topic = TopicClient(servers, name, properties, FORMAT, self._shard)
        self._generations = generations
        self._run_between_reads = run_between_reads
        self._copies = CopySelector(generations, run_between_reads)
        self._session: ReplicationSession[CopyWriter] | None = None
        self._applied = ApplyCounters()
        self._began = self._contact = time.monotonic()
        self._serves = False

    def report_status(self) -> StatusReport:
        """Return the status in full; to be called in the thread that reads the store."""
        live = self._generations.live
        live_copy = LiveCopy(live.folder.name, live.count(), live.size_bytes(), live.free_bytes())
        return self.status.report(alive=self.alive, live_copy=live_copy)

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                self._replicate()
            except KafkaError as error:
                self._publish_outage(error)
            except DamagedError as damage:
                self._copies.damage = str(damage)
            except _Restart:
                continue
            except (_Refused, TopicError) as refusal:
                self._publish(Readiness("failed", serves=self._has_data, reason=str(refusal)))
                self.stopping.wait(CHECK_SECONDS)
            except Exception:
                # The stored data is still right to serve, and the next try may succeed.
                logger.exception("following the topic failed unexpectedly; trying again")
                self._publish(Readiness("failed", serves=self._has_data, reason="an unexpected error; see the log"))
                self.stopping.wait(CHECK_SECONDS)
            self._session = None
            self.status.publish_lags(NO_LAGS, self._applied)
            self.stopping.wait(RETRY_SECONDS)

    def _replicate(self) -> None:
        """Replicate the topic for as long as it stays the same one."""
        self.status.recall_complete(self._generations.live)
        identity = self._topic.read_identity(self._seconds_to_wait())
        self._contact = time.monotonic()
        if identity is None:
            reason = f"the topic {self._topic.name} (USER_INFO_TOPIC) does not exist yet; the joiner creates it"
            self._publish_waiting("starting", reason)
            return
        tombstone_retention_ms = self._topic.read_tombstone_retention_ms()
        store, why = self._open_copy(identity, tombstone_retention_ms)
        try:
            bounds = self._topic.read_bounds(identity.share.held)
            if self._topic.read_identity() != identity:
                return
            start = self._find_start(store, bounds)
            with self._topic.open_reader(start) as reader:
                session = self._session = ReplicationSession(
                    reader,
                    TopicMonitor(self._topic, identity),
                    CopyWriter(store, identity.share, self._run_between_reads, self._applied),
                    Positions(start, bounds),
                    trusted=store.complete,
                    replaces=not self._copies.is_live(store) and self._copies.live_is_complete,
                    retention_seconds=tombstone_retention_ms / 1000,
                )
                self.status.publish_lags(session.positions.lags(), self._applied)
                self._follow(session, why)
        finally:
            if not self._copies.is_live(store):
                store.close()

    def _open_copy(self, identity: CopyIdentity, tombstone_retention_ms: int) -> tuple[Store, str | None]:
        """Return the copy to replicate into, and why it is not the live one, as a message."""
        decision = self._copies.assess_live_copy(identity, tombstone_retention_ms)
        if decision.action != "continue" and self._copies.discard_snapshot(decision.reason):
            raise _Restart
        if decision.action == "refuse":
            raise _Refused(decision.reason)
        if decision.action == "rebuild":
            logger.warning("rebuilding next to the old data: %s", decision.reason)
            self._publish_waiting("replaying", decision.reason)
        return self._copies.open(decision, identity, tombstone_retention_ms), decision.reason

    def _find_start(self, store: Store, bounds: Bounds) -> dict[int, int]:
        """Return partition -> the next offset to read, after having checked that the topic still holds it."""
        known = store.offsets()
        logs = {partition: (bounds.firsts[partition], bounds.ends[partition]) for partition in known}
        gap = find_gap(known, logs, REMEDY)
        if gap is not None:
            if self._copies.discard_snapshot(gap):
                raise _Restart
            raise _Refused(gap)
        if store.note("snapshot") is not None:
            store.write_notes(snapshot=None)
        return {**bounds.firsts, **known}

    def _follow(self, session: ReplicationSession[CopyWriter], why: str | None) -> None:
        began = time.monotonic()
        # Clients that are served meanwhile, even from another copy, share the interpreter with this thread.
        while not self.stopping.is_set() and session.step(serving=self.status.readiness.serves):
            if session.caught_up and not (self._serves and self._copies.is_live(session.writer.store)):
                session.save()
                self._copies.make_live(session.writer.store)
                self._serves = True
            elif session.unfinished is not None and session.writer.wholeness.whole is False:
                # What is served may only be an empty copy then, which counted as whole until the joiner's first mark.
                self._serves = self._serves and not self._copies.is_live(session.writer.store)
            self._contact = session.monitor.contact
            if session.monitor.silence is not None:
                self._serve_stale_after_timeout()
            self._publish(self._describe(session, why, time.monotonic() - began))
            if session.writer.full_reason is not None:
                self.stopping.wait(CHECK_SECONDS)

    def _describe(self, session: ReplicationSession[CopyWriter], why: str | None, seconds: float) -> Readiness:
        """Return how far a session is, `seconds` after its beginning."""
        stall_reason = session.stall_reason and self._describe_stall(session.stall_reason, session.monitor.silence)
        if session.caught_up:
            now = time.monotonic()
            held_at = session.positions.held_at(now)
            self.status.note_complete(find_complete_at(held_at, session.monitor.contact, now, 2 * CHECK_SECONDS))
        serves = self._serves or (not self._copies.is_live(session.writer.store) and self._has_data)
        return describe_session(session, seconds, serves=serves, why=why, stall_reason=stall_reason)

    @property
    def _has_data(self) -> bool:
        """Whether there is a complete copy that can be served, however old."""
        return self._serves or self._copies.live_is_complete

    def _seconds_to_wait(self) -> float:
        """Return how long to wait for Kafka's first answer."""
        if self._serves or not self._has_data:
            return REQUEST_SECONDS
        return min(REQUEST_SECONDS, max(RETRY_SECONDS, self._began + PATIENCE_SECONDS - time.monotonic()))

    def _serve_stale_after_timeout(self) -> None:
        """Serve what there is, if Kafka has not answered for PATIENCE_SECONDS since the start."""
        if self._has_data and not self._serves and time.monotonic() >= self._began + PATIENCE_SECONDS:
            logger.warning("Kafka does not answer; serving the data that is here")
            self._serves = True

    def _describe_stall(self, reason: str, silence: str | None) -> str:
        """Return why there is no progress, and, if Kafka is silent, for how long it has been."""
        if reason != silence:
            return reason
        return f"no answer from Kafka at {self._topic.servers} for {time.monotonic() - self._contact:.0f} s: {reason}"

    def _publish_outage(self, error: KafkaError) -> None:
        self._serve_stale_after_timeout()
        reason = self._describe_stall(str(error), str(error))
        self._publish(Readiness("stale" if self._serves else "starting", serves=self._serves, reason=reason))

    def _publish_waiting(self, state: State, reason: str | None) -> None:
        """Publish a state for a reader that has no data yet; one that has is stale."""
        self._publish(Readiness("stale" if self._has_data else state, serves=self._has_data, reason=reason))

    def _publish(self, readiness: Readiness) -> None:
        if readiness.state == "stale" and not self._copies.live_is_of(self._shard):
            # Who asks directly is answered, or told the right shard; a proxy counts on this reader's new one.
            readiness = replace(readiness, state="replaying")
        session = self._session
        if session is None:
            self.status.publish(readiness, NO_LAGS, self._applied)
        else:
            freshness = session.writer.freshness if self._copies.is_live(session.writer.store) else None
            self.status.publish(readiness, session.positions.lags(), self._applied, freshness)
