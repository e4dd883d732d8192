"""What a sink says of itself at `/readyz` and `/metrics`; the thread that follows the topic says it, others read it."""

import logging
import math
import time
from dataclasses import replace

from replication.readiness import Readiness
from replication.session import ReplicationSession
from shared.clock import now_ms
from sink.metrics import Metrics
from sink.writer import SinkWriter

logger = logging.getLogger(__name__)

REMIND_SECONDS = 5.0
"""How often a state that is not ready is logged again."""

SILENT_SECONDS = 15.0
"""For how long the store may leave one transaction unanswered before that counts as a reason not to be ready."""


class Status:
    """The status of one process.

    Args:
        name: what is written, as messages call it.
        refused: where the store names users that it cannot hold, as words.
    """

    def __init__(self, name: str, refused: str) -> None:
        self.metrics = Metrics()
        self._name = name
        self._refused = refused
        self._readiness = Readiness(reason="connecting to Kafka and to the store")
        self._session: ReplicationSession[SinkWriter] | None = None
        self._began = self._said_at = time.monotonic()
        self._held_at: float | None = None
        self._remind_at = 0.0
        metrics = self.metrics
        metrics.ready.set_function(lambda: self.readiness.state == "ready")
        metrics.behind_seconds.set_function(
            lambda: time.monotonic() - (self._began if self._held_at is None else self._held_at)
        )
        metrics.heartbeat_age_seconds.set_function(self._read_heartbeat_age)

    def begin_session(self, session: ReplicationSession[SinkWriter]) -> None:
        """Note which session is under way."""
        self._session = session

    def end_session(self) -> None:
        """Note that none is."""
        self._session = None

    def publish(self, readiness: Readiness, refused: int = 0) -> None:
        """Publish how far the sink is, and log the state if it is new, or was last logged a while ago.

        Args:
            readiness: how far.
            refused: how many users the store cannot hold.
        """
        session = self._session
        if refused and readiness.reason is None:
            readiness = replace(readiness, reason=f"{refused} users cannot be stored; {self._refused} names them")
        news = readiness.state != self._readiness.state
        self._readiness, self._said_at = readiness, time.monotonic()
        self.metrics.refused_users.set(refused)
        if session is not None:
            lags = session.positions.lags()
            self.metrics.lag_records.set(sum(lags.records.values()))
            if session.caught_up and session.writer.copy == "live":
                held = lags.seconds(self._said_at)
                self._held_at = self._said_at - max(held.values(), default=0.0)
        if news or (readiness.state != "ready" and self._said_at >= self._remind_at):
            self._remind_at = self._said_at + REMIND_SECONDS
            share = "" if readiness.percent is None else f" {readiness.percent} %, {readiness.applied} records"
            level = logging.INFO if readiness.state in {"ready", "replaying", "building"} else logging.WARNING
            logger.log(level, "%s%s%s", readiness.state, share, f": {readiness.reason}" if readiness.reason else "")

    @property
    def readiness(self) -> Readiness:
        """How far the sink is now; any thread may ask."""
        readiness = self._readiness
        silent = time.monotonic() - self._said_at
        if readiness.state != "failed" and silent > SILENT_SECONDS:
            reason = f"no answer from Kafka or the store of {self._name} for {silent:.0f} s"
            return replace(readiness, state="stale" if readiness.serves else "starting", reason=reason)
        return readiness

    def _read_heartbeat_age(self) -> float:
        session = self._session
        fresh_ms = None if session is None else session.writer.freshness.oldest_ms
        return math.nan if fresh_ms is None else max(0.0, (now_ms() - fresh_ms) / 1000)

    def respond(self, path: str) -> tuple[int, dict[str, object]]:
        """Return the status and the body for a path; 200 for a sink that is ready, or alive."""
        if path == "/livez":
            return 200, {"state": self.readiness.state}
        if path == "/readyz":
            readiness = self.readiness
            return (200 if readiness.state == "ready" else 503), readiness.to_document()
        return 404, {"title": "no such route", "status": 404, "routes": ["/livez", "/readyz", "/metrics"]}
