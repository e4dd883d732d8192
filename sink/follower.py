"""Keeps the store equal to the topic, session after session, until told to stop. Knows no store's client.

Guarantees: programs that read the store see whole values of one topic, or nothing yet. The first copy, and one that
takes the place of another, is built where they do not see it, and is shown at once when it is whole.
"""

import logging
import threading
import time
from collections.abc import Mapping

from replication.compatibility import CopyDecision, CopyIdentity, decide, find_gap
from replication.description import describe_session
from replication.kafka.topic import TopicClient
from replication.positions import Bounds, Positions
from replication.readiness import Readiness
from replication.session import ReplicationSession
from replication.topic_monitor import CHECK_SECONDS, TopicMonitor
from shared.clock import now_ms
from shared.errors import AlreadyRunning, KafkaError
from sink.errors import BeginAnew, Claimed, StoreChanged, StoreFull, StoreUnavailable
from sink.state import CopyState
from sink.status import Status
from sink.store import Copy, Store
from sink.writer import SinkWriter

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
"""Between two sessions: how often what is away is asked again."""

CLAIM_SECONDS = 15.0
"""How long a claim of another process is waited for: one that was killed loses it within this."""


class _Refused(Exception):  # noqa: N818 - a decision, not a failure
    """There is no sound way to continue; the message says what to do."""


class Follower:
    """Follows the topic into the store, in the thread that calls `run`.

    Args:
        topic: asks Kafka about the topic.
        store: where the copies are; `run` opens and closes it.
        status: says how far this is.
        stopping: set it to have `run` return.
    """

    def __init__(self, topic: TopicClient, store: Store, status: Status, stopping: threading.Event) -> None:
        self._topic = topic
        self._store = store
        self._status = status
        self._stopping = stopping
        self._shows = False
        self._anew: tuple[str, tuple[bytes, int]] | None = None
        self._claimed_since: float | None = None

    def run(self) -> None:
        """Follow until told to stop.

        Raises:
            AlreadyRunning: another sink writes there; names it.
            ForeignData: somebody else's data is there, or the store refuses to be written to.
        """
        try:
            while not self._stopping.is_set():
                self._try()
                self._status.end_session()
                self._stopping.wait(RETRY_SECONDS)
        finally:
            self._store.close()

    def _try(self) -> None:
        try:
            self._store.open()
            self._claimed_since = None
            self._follow_topic()
        except (KafkaError, StoreUnavailable, StoreChanged, StoreFull) as trouble:
            self._publish_trouble(str(trouble))
        except Claimed as claimed:
            self._wait_for_claim(claimed)
        except BeginAnew as anew:
            self._anew = str(anew), anew.shape
        except _Refused as refusal:
            self._status.publish(Readiness("failed", serves=self._shows, reason=str(refusal)))
            self._stopping.wait(CHECK_SECONDS)

    def _publish_trouble(self, reason: str) -> None:
        self._status.publish(Readiness("stale" if self._shows else "starting", serves=self._shows, reason=reason))

    def _wait_for_claim(self, claimed: Claimed) -> None:
        now = time.monotonic()
        self._claimed_since = self._claimed_since or now
        if now - self._claimed_since > CLAIM_SECONDS:
            raise AlreadyRunning(str(claimed), "run one sink for each table or prefix")
        self._publish_trouble(str(claimed))

    def _follow_topic(self) -> None:
        """Follow the topic for as long as it stays the same one."""
        live = self._store.read("live")
        self._shows = live is not None
        identity = self._topic.read_identity()
        if identity is None:
            reason = f"the topic {self._topic.name} (USER_INFO_TOPIC) does not exist yet; the joiner creates it"
            self._publish_trouble(reason)
            return
        retention_ms = self._topic.read_tombstone_retention_ms()
        copy, state, why = self._choose_copy(live, identity, retention_ms)
        bounds = self._topic.read_bounds(identity.share.held)
        if self._topic.read_identity() != identity:
            return
        start = self._find_start(state.offsets, bounds)
        writer = SinkWriter(self._store, copy, state, identity.share, self._status.metrics)
        with self._topic.open_reader(start) as reader:
            session = ReplicationSession(
                reader,
                TopicMonitor(self._topic, identity),
                writer,
                Positions(start, bounds),
                trusted=copy == "live",
                # An empty topic is not shown: a joiner may be about to fill it, and its first mark would come too late.
                replaces=True,
                retention_seconds=retention_ms / 1000,
            )
            self._status.begin_session(session)
            self._follow(session, why)

    def _choose_copy(
        self, live: CopyState | None, identity: CopyIdentity, retention_ms: int
    ) -> tuple[Copy, CopyState, str | None]:
        """Return the copy to write, its state, and why it is not the live one, as a message."""
        decision = CopyDecision("rebuild")
        if live is not None:
            decision = decide(live.identity, identity, now_ms() - live.since_ms, retention_ms)
            if decision.action == "continue" and self._anew is not None:
                decision = CopyDecision("rebuild", self._anew[0])
            if decision.action == "refuse":
                raise _Refused(decision.reason)
            if decision.action == "continue":
                return "live", live, None
            logger.warning("building another copy of the topic: %s", decision.reason)
        state = self._store.read("next")
        if state is None or not self._can_continue(state, identity, retention_ms):
            shape = self._anew[1] if self._anew is not None else None
            state = CopyState.begin(identity, now_ms(), shape)
            self._store.begin(state)
        return "next", state, decision.reason

    def _can_continue(self, state: CopyState, identity: CopyIdentity, retention_ms: int) -> bool:
        """Return whether an unfinished copy can be finished."""
        same = state.identity == identity.to_note() and now_ms() - state.since_ms <= retention_ms
        return same and (self._anew is None or (state.shape, state.shape_ms) == self._anew[1])

    def _find_start(self, known: Mapping[int, int], bounds: Bounds) -> dict[int, int]:
        """Return partition -> the next offset to read, after having checked that the topic still holds it."""
        logs = {partition: (bounds.firsts[partition], bounds.ends[partition]) for partition in known}
        gap = find_gap(known, logs, self._store.remedy)
        if gap is not None:
            raise _Refused(gap)
        return {**bounds.firsts, **known}

    def _follow(self, session: ReplicationSession[SinkWriter], why: str | None) -> None:
        began = time.monotonic()
        while not self._stopping.is_set() and session.step(serving=False):
            if session.caught_up and session.writer.copy == "next":
                session.save()
                session.writer.publish()
                self._shows, self._anew = True, None
            stall_reason = session.stall_reason
            self._status.publish(
                describe_session(
                    session,
                    time.monotonic() - began,
                    serves=self._shows,
                    why=why,
                    stall_reason=stall_reason,
                ),
                self._store.count_refused(session.writer.copy),
            )
            self._store.keep_claim()
            if session.writer.full_reason is not None:
                self._stopping.wait(CHECK_SECONDS)
        if self._stopping.is_set() and session.writer.full_reason is None:
            session.save()
