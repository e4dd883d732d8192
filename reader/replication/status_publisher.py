"""What the replicator thread says of the reader, for other threads to read.

Guarantees: what is published never changes afterwards. The replicator thread replaces two references, first readiness
and then all else; a thread that reads one at that moment gets the old or the new, whole, and waits for nobody.
"""

import logging
import time
from dataclasses import replace
from typing import NamedTuple

from reader.replication.copy_writer import read_freshness
from reader.status.counters import ApplyCounters
from reader.status.report import LiveCopy, StatusReport
from reader.storage.metadata import read_topic
from reader.storage.store import Store
from replication.freshness import Freshness
from replication.lags import NO_LAGS, Lags
from replication.readiness import Readiness
from shared.clock import to_epoch_ms
from shared.shards import Share

logger = logging.getLogger(__name__)

REMIND_SECONDS = 5.0
"""How often a state that keeps clients away is logged again."""


class _Publication(NamedTuple):
    readiness: Readiness
    lags: Lags
    applied: ApplyCounters
    fresh_ms: dict[int, int]


class StatusPublisher:
    """Publishes the reader's status.

    Only the replicator thread calls what publishes and notes, and only it writes what is here.
    Any thread may read `readiness` and call `report`.

    Args:
        live: the copy that is live at the start.
        max_staleness_seconds: READER_MAX_STALENESS_SECONDS.

    Attributes:
        readiness: as it was last published.
    """

    def __init__(self, live: Store, max_staleness_seconds: float | None) -> None:
        self.readiness = Readiness(reason="connecting to Kafka")
        self._max_staleness_seconds = max_staleness_seconds
        self._remind_at = 0.0
        topic = read_topic(live.note("identity"))
        self._freshness = read_freshness(live, topic.share if topic else Share(0))
        self._complete_at: float | None = None
        self.recall_complete(live)
        self._published = _Publication(self.readiness, NO_LAGS, ApplyCounters(), self._freshness.by_partition())

    def recall_complete(self, live: Store) -> None:
        """Note when the live copy says that it was last complete: by the wall clock, which counts suspensions.

        Args:
            live: the copy.
        """
        complete = live.note("complete")
        if complete:
            now = time.monotonic()
            self._complete_at = now - (to_epoch_ms(now) - complete) / 1000

    def note_complete(self, moment: float | None) -> None:
        """Note when the live copy last held all that its topic had, on the monotonic clock; None: as before."""
        self._complete_at = moment or self._complete_at

    def publish(
        self, readiness: Readiness, lags: Lags, applied: ApplyCounters, freshness: Freshness | None = None
    ) -> None:
        """Publish the status, and log the state if it is new or was last logged a while ago.

        Args:
            readiness: without what is added here: when the copy was complete, and how fresh it is.
            lags: of the copy that the topic is replicated into.
            applied: what was applied so far; copied here.
            freshness: of the live copy; None: as before.
        """
        news = readiness.state != self.readiness.state
        self._freshness = freshness or self._freshness
        fresh_ms = self._freshness.by_partition()
        self.readiness = replace(
            readiness,
            complete_at=self._complete_at,
            fresh_ms=self._freshness.oldest_of(fresh_ms),
            max_staleness_seconds=self._max_staleness_seconds,
        )
        self._published = _Publication(self.readiness, lags, applied.copy(), fresh_ms)
        if news or (readiness.state != "ready" and time.monotonic() >= self._remind_at):
            self._remind_at = time.monotonic() + REMIND_SECONDS
            _log(readiness)

    def publish_lags(self, lags: Lags, applied: ApplyCounters) -> None:
        """Publish the lags alone, as a session begins or ends.

        Args:
            lags: NO_LAGS while no session is under way.
            applied: what was applied so far; copied here.
        """
        self._published = _Publication(self.readiness, lags, applied.copy(), self._freshness.by_partition())

    def report(self, *, alive: bool, live_copy: LiveCopy) -> StatusReport:
        """Return the status in full.

        Args:
            alive: whether the replicator thread runs.
            live_copy: what is served.
        """
        readiness, lags, applied, fresh_ms = self._published
        seconds = lags.seconds(time.monotonic())
        return StatusReport(readiness, alive, live_copy, lags.records, seconds, applied, fresh_ms)


def _log(readiness: Readiness) -> None:
    level = logging.INFO if readiness.state in {"ready", "replaying", "building"} else logging.WARNING
    share = "" if readiness.percent is None else f" {readiness.percent} %, {readiness.applied} records"
    logger.log(level, "%s%s%s", readiness.state, share, f": {readiness.reason}" if readiness.reason else "")
