"""Keeps the live copy equal to the topic, in a thread: which copy to follow with, when to serve it, what to say.

Guarantees: what is served is one topic's, complete up to the ends that were seen at some start; once it is served it
goes on being served, whatever happens to Kafka. Knows neither Kafka's client (see reader.replication.topic) nor LMDB.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import replace

from reader.replication.compatibility import CopyIdentity, decide, find_gap
from reader.replication.session import LOOK_SECONDS, ReplicationSession, read_freshness, to_epoch_ms
from reader.replication.topic import REQUEST_SECONDS, TopicClient
from reader.settings import ReaderSettings
from reader.status.counters import ApplyCounters
from reader.status.readiness import Readiness, estimate_seconds_left, find_complete_at
from reader.status.report import LiveCopy, StatusReport, measure_lags
from reader.storage.generations import Generations
from reader.storage.read_view import RunBetweenReads
from reader.storage.store import DamagedError, Store
from shared.errors import KafkaError

logger = logging.getLogger(__name__)

STOP_SECONDS = 1.5
REMIND_SECONDS = 5.0
RETRY_SECONDS = 0.5
PATIENCE_SECONDS = 10.0
"""How long a reader that has complete data waits for Kafka at its start before it serves what it has."""


class _Refused(Exception):  # noqa: N818 - a decision, not a failure
    """There is no sound way on; the message says what to do."""


class _Restart(Exception):  # noqa: N818 - a decision, not a failure
    """The live copy is another one now; the session begins anew."""


class Replicator:
    """Keeps the live copy up to date.

    Args:
        settings: which topic, and where.
        properties: further properties of the Kafka client.
        generations: the copies on disk.
        where_reads_happen: runs a function in the thread that reads the store, between two reads.
    """

    def __init__(
        self,
        settings: ReaderSettings,
        properties: Mapping[str, str],
        generations: Generations,
        where_reads_happen: RunBetweenReads,
    ) -> None:
        self.progress = Readiness(reason="connecting to Kafka")
        self.following: ReplicationSession | None = None
        self.stopping = threading.Event()
        self._topic = TopicClient(settings.kafka_bootstrap_servers, settings.user_info_topic, properties)
        self._generations = generations
        self._where_reads_happen = where_reads_happen
        self._thread = threading.Thread(target=self._run, name="replicator", daemon=True)
        self._began = self._contact = time.monotonic()
        self._intake = ApplyCounters()
        self._remind_at = 0.0
        self._serves = False
        self._damage: str | None = None
        noted = generations.live.note("complete")
        self._max_staleness = settings.reader_max_staleness_seconds
        identity = generations.live.note("identity")
        self._freshness = read_freshness(generations.live, identity["partitions"] if identity else 0)
        self._complete_at = self._began - (to_epoch_ms(self._began) - noted) / 1000 if noted else None

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def report_status(self) -> StatusReport:
        """Return all that there is to say; to be called where reads happen."""
        live = self._generations.live
        held = LiveCopy(live.folder.name, live.count(), live.size_bytes(), live.free_bytes())
        return StatusReport(
            self.progress, self.alive, held, *measure_lags(self.following), self._intake, self._freshness.by_partition()
        )

    def start(self) -> None:
        """Begin to follow the topic."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batch at hand, without waiting for a Kafka that does not answer."""
        self.stopping.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                self._session()
            except KafkaError as error:
                self._without_kafka(error)
            except DamagedError as damage:
                self._damage = str(damage)
            except _Restart:
                continue
            except _Refused as refusal:
                self._report(Readiness("failed", serves=self._has_data, reason=str(refusal)))
                self.stopping.wait(LOOK_SECONDS)
            except Exception:
                # Whatever it was, what is in the store is still right to serve, and the next try may go well.
                logger.exception("following the topic failed unexpectedly; trying again")
                self._report(Readiness("failed", serves=self._has_data, reason="an unexpected error; see the log"))
                self.stopping.wait(LOOK_SECONDS)
            self.following = None
            self.stopping.wait(RETRY_SECONDS)

    @property
    def _has_data(self) -> bool:
        """Whether there is a complete copy that can be served, however old."""
        return self._serves or self._generations.live.complete

    def _session(self) -> None:
        """Follow the topic for as long as it stays the same."""
        identity = self._topic.identity(self._patience_left())
        self._contact = time.monotonic()
        if identity is None:
            reason = f"the topic {self._topic.name} (USER_INFO_TOPIC) does not exist yet; the joiner makes it"
            self._report(Readiness("stale" if self._has_data else "starting", serves=self._has_data, reason=reason))
            return
        retention_ms = self._topic.retention_ms()
        store, why = self._copy_for(identity, retention_ms)
        try:
            bounds = self._topic.bounds(identity.partitions)
            if self._topic.identity() != identity:
                return
            known = store.offsets()
            gap = find_gap(
                known, {partition: (bounds.firsts[partition], bounds.ends[partition]) for partition in known}
            )
            if gap is not None:
                self._refuse_snapshot(gap)
                raise _Refused(gap)
            if store.note("snapshot") is not None:
                store.write_notes(snapshot=None)
            positions = {**bounds.firsts, **known}
            with self._topic.read(positions) as reading:
                self.following = ReplicationSession(
                    topic=self._topic,
                    reading=reading,
                    store=store,
                    identity=identity,
                    bounds=bounds,
                    positions=positions,
                    between_reads=self._where_reads_happen,
                    trusted=store.complete,
                    retention_seconds=retention_ms / 1000,
                    contact=time.monotonic(),
                    intake=self._intake,
                )
                self._follow(self.following, why)
        finally:
            if store is not self._generations.live:
                store.close()

    def _follow(self, following: ReplicationSession, why: str | None) -> None:
        began = time.monotonic()
        # Whoever is answered meanwhile, be it out of another copy, waits for the same interpreter.
        while not self.stopping.is_set() and following.step(serving=self.progress.serves):
            if following.caught_up and not (self._serves and following.store is self._generations.live):
                self._go_live(following)
            self._contact = following.contact
            if following.silence is not None:
                self._lose_patience()
            self._report(self._how_it_stands(following, why, time.monotonic() - began))
            if following.full is not None:
                self.stopping.wait(LOOK_SECONDS)

    def _go_live(self, following: ReplicationSession) -> None:
        """Serve the copy that has caught up, instead of the one before it."""
        following.keep()
        if following.store is not self._generations.live:
            old = self._generations.swap(following.store)
            # Afterwards nobody reads the old one; it is let go of here, since that may take the disk a while.
            self._where_reads_happen(lambda: None)
            Generations.drop(old)
            self._damage = None
        self._serves = True

    def _how_it_stands(self, following: ReplicationSession, why: str | None, seconds: float) -> Readiness:
        trouble = following.trouble and self._said(following.trouble, following.silence)
        applied, target = following.applied, following.target
        if following.caught_up:
            now = time.monotonic()
            held = following.held(now)
            self._complete_at = find_complete_at(held, following.contact, now, 2 * LOOK_SECONDS) or self._complete_at
            return Readiness("ready" if trouble is None else "stale", True, applied, target, 0.0, trouble)
        left = estimate_seconds_left(following.first, applied, target, seconds)
        serves = self._serves or (following.store is not self._generations.live and self._has_data)
        reason = trouble or why or ("catching up with the topic" if serves else None)
        return Readiness("stale" if serves else "replaying", serves, applied, target, left, reason)

    def _copy_for(self, identity: CopyIdentity, retention_ms: int) -> tuple[Store, str | None]:
        """Return the copy to follow the topic with, the live one or one beside it, and why it is not the live one."""
        live = self._generations.live
        action, reason = decide(live.note("identity"), identity, _away_ms(live), retention_ms)
        if action == "go on" and self._damage is not None:
            action, reason = "rebuild", self._damage
        if action != "go on":
            self._refuse_snapshot(reason)
        if action == "refuse":
            raise _Refused(reason)
        store = live
        if action == "rebuild":
            logger.warning("rebuilding beside the old data: %s", reason)
            self._report(Readiness("stale" if self._has_data else "replaying", serves=self._has_data, reason=reason))

            def goes_on(left: Store) -> bool:
                return left.note("identity") == identity.to_note() and _away_ms(left) <= retention_ms

            store = self._generations.beside(goes_on)
        if store.note("identity") is None:
            store.write_notes(identity=identity.to_note(), begun=to_epoch_ms(time.monotonic()))
        return store, reason

    def _refuse_snapshot(self, reason: str | None) -> None:
        """Where the live copy is a snapshot that was not held against the topic yet, begin with nothing instead.

        Raises:
            _Restart: it was one.
        """
        snapshot = self._generations.live.note("snapshot")
        if snapshot is None:
            return
        logger.warning("the snapshot %s is refused: %s; the topic is replayed instead", snapshot, reason)
        old = self._generations.swap(self._generations.beside(lambda _: False))
        self._where_reads_happen(lambda: None)
        Generations.drop(old)
        raise _Restart

    def _patience_left(self) -> float:
        """Return for how long the first answer of Kafka may be waited for."""
        if self._serves or not self._has_data:
            return REQUEST_SECONDS
        return min(REQUEST_SECONDS, max(RETRY_SECONDS, self._began + PATIENCE_SECONDS - time.monotonic()))

    def _lose_patience(self) -> None:
        """Serve what there is, where Kafka has not been heard of for as long as it may take."""
        if self._has_data and not self._serves and time.monotonic() >= self._began + PATIENCE_SECONDS:
            logger.warning("Kafka does not answer; serving what is here")
            self._serves = True

    def _without_kafka(self, error: KafkaError) -> None:
        self._lose_patience()
        reason = self._said(str(error), str(error))
        self._report(Readiness("stale" if self._serves else "starting", serves=self._serves, reason=reason))

    def _said(self, trouble: str, silence: str | None) -> str:
        """Return a trouble for people, with how long Kafka has been silent where that is the trouble."""
        if trouble != silence:
            return trouble
        return f"no answer from Kafka at {self._topic.servers} for {time.monotonic() - self._contact:.0f} s: {trouble}"

    def _report(self, progress: Readiness) -> None:
        """Publish how things stand, and log it where it is news or was last said a while ago."""
        news = progress.state != self.progress.state
        if self.following is not None and self.following.store is self._generations.live:
            self._freshness = self.following.freshness
        self.progress = replace(
            progress,
            complete_at=self._complete_at,
            fresh_ms=self._freshness.oldest_ms,
            max_staleness_seconds=self._max_staleness,
        )
        if news or (progress.state != "ready" and time.monotonic() >= self._remind_at):
            self._remind_at = time.monotonic() + REMIND_SECONDS
            level = logging.INFO if progress.state in {"ready", "replaying"} else logging.WARNING
            share = "" if progress.percent is None else f" {progress.percent} %, {progress.applied} records"
            logger.log(level, "%s%s%s", progress.state, share, f": {progress.reason}" if progress.reason else "")


def _away_ms(store: Store) -> int:
    """Return how long ago a copy was last known to be complete, or was begun."""
    since = max(store.note("complete") or 0, store.note("begun") or 0)
    return to_epoch_ms(time.monotonic()) - since if since else 0
