"""One poll after the other: new and changed rows, deletions, heartbeats.

Guarantees that cursors and known keys never lead what Kafka has committed, and that a heartbeat lies behind all changes
that it speaks of. One thread, one snapshot a poll: what a comparison finds missing was missing when the last row before
it was read, and what is inserted later is sent later.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from poller.database import Database, Snapshot
from poller.health import Health
from poller.horizon import Horizon, encode_beat
from poller.metrics import Metrics
from poller.publisher import Publisher
from poller.state import Progress, State
from poller.tables import BATCH_ROWS, Table

logger = logging.getLogger(__name__)

BATCH_BYTES = 16 * 1024 * 1024
"""How much a transaction in Kafka holds at most, besides its last row."""

SNAPSHOT_SECONDS = 300.0
"""How long one snapshot is read: the database cannot tidy up what it might still see. Another one continues."""

HEARTBEAT_SECONDS = 1.0

SLOW_MS = 10_000
"""From what age of the newest changes on its reason is given."""

SHARE = 9
"""How many times as long as it took nothing is compared after a comparison."""

FOLLOWING, REACHED = "following", "reached-ms"
"""Notes: the highest transaction id that was known, and the time before which all inserts and updates are written."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a poller works with."""

    database: Database
    publisher: Publisher
    state: State
    health: Health
    metrics: Metrics
    is_stopping: Callable[[], bool]


class Poller:
    """Polls tables.

    Args:
        parts: what it works with.
        tables: which.
        compare_seconds: least time between two comparisons of all keys; 0: there are none.
        heartbeats_topic: where heartbeats go; None: there are none.
    """

    def __init__(
        self, parts: Parts, tables: Sequence[Table], compare_seconds: float, heartbeats_topic: str | None
    ) -> None:
        self._parts = parts
        self._tables = tables
        self._compare_seconds = compare_seconds
        self._heartbeats_topic = heartbeats_topic
        self._horizon = Horizon()
        self._known_ms = int(parts.state.note(REACHED) or 0) or None
        self._deletions_ms: int | None = None
        self._compare_at = self._beat_at = 0.0
        self._beaten_ms = 0
        self._progress, self._bytes = Progress(), 0
        self._time_ms = 0
        # Looked up once, and not for each row.
        self._counters = {
            (table.topic, is_gone): counter.labels(table.source.table)
            for table in tables
            for is_gone, counter in ((False, parts.metrics.rows), (True, parts.metrics.tombstones))
        }

    def poll(self) -> None:
        """Read in one snapshot what is new, and compare the keys if it is time.

        Raises:
            KafkaException, psycopg.Error: to be continued from the state.
        """
        began = time.monotonic()
        with self._parts.database.snapshot() as snapshot:
            self._time_ms = self._horizon.reached_ms or self._known_ms or snapshot.now_ms
            self._progress.notes[FOLLOWING] = str(snapshot.following)
            if not all(self._read_all(table, snapshot, began) for table in self._tables):
                self._commit()
                return
            compares = self._compare_seconds > 0 and began >= self._compare_at
            if compares and not self._compare():
                return
        self._commit()
        self._horizon.advance(snapshot.now_ms, snapshot.oldest, snapshot.following)
        if compares or not self._compare_seconds:
            self._deletions_ms = self._horizon.reached_ms
        self._parts.metrics.rows_time.set((self._horizon.reached_ms or 0) / 1000)
        self._parts.metrics.deletions_time.set((self._deletions_ms or 0) / 1000)
        self._beat()
        self._parts.health.enter("polling", self._explain_age(snapshot))
        self._parts.metrics.poll_seconds.observe(time.monotonic() - began)

    def _read_all(self, table: Table, snapshot: Snapshot, began: float) -> bool:
        """Send all rows of a table that are new; return whether none is left."""
        while not self._parts.is_stopping() and time.monotonic() - began < SNAPSHOT_SECONDS:
            if self._read_some(table, snapshot) < BATCH_ROWS:
                return True
        return False

    def _read_some(self, table: Table, snapshot: Snapshot) -> int:
        """Send rows that are new, as many as a statement reads; return how many there were."""
        place = self._progress.cursors.get(table.topic) or self._parts.state.cursor(table.topic)
        count = 0
        for *cursor, key, row in self._parts.database.read_rows(table, snapshot.oldest, place):
            self._send(table, key, row)
            self._progress.cursors[table.topic] = cursor
            count += 1
            if self._is_full():
                self._commit()
        self._parts.health.note_alive()
        return count

    def _compare(self) -> bool:
        """Send the deletion of each key that a topic holds and its table does not; return whether all were sent."""
        began = time.monotonic()
        for table in self._tables:
            keys = self._parts.database.read_keys(table)
            for key in self._parts.state.find_missing(table.topic, keys):
                self._send(table, key, None)
                if self._is_full():
                    self._commit()
            self._parts.health.note_alive()
            if self._parts.is_stopping():
                self._commit()
                return False
        took = time.monotonic() - began
        self._parts.metrics.comparison_seconds.set(took)
        self._compare_at = time.monotonic() + max(self._compare_seconds, SHARE * took)
        return True

    def _send(self, table: Table, key: bytes, row: bytes | None) -> None:
        place = (table.topic, key)
        if row is None and not self._progress.present.get(place, self._parts.state.knows(*place)):
            return  # a row that was never sent
        self._parts.publisher.send(table.topic, key, row, self._time_ms)
        self._progress.present[place] = row is not None
        self._bytes += len(key) + len(row or b"")
        self._counters[table.topic, row is None].inc()

    def _is_full(self) -> bool:
        return len(self._progress.present) >= BATCH_ROWS or self._bytes >= BATCH_BYTES

    def _commit(self) -> None:
        positions = self._parts.publisher.commit()
        self._parts.state.save(self._progress, positions)
        self._progress, self._bytes = Progress(), 0
        self._parts.health.note_alive()

    def _beat(self) -> None:
        """Write a heartbeat if it is time and there is news: all changes before it, deletions included, are written.

        Not the same one again, since the first that a joiner sees tells it that nothing is missing any more.
        """
        reached_ms, deletions_ms = self._horizon.reached_ms, self._deletions_ms
        if reached_ms is None or deletions_ms is None or time.monotonic() < self._beat_at:
            return
        self._parts.state.save(Progress(notes={REACHED: str(reached_ms)}), {})
        time_ms = min(reached_ms, deletions_ms)
        if self._heartbeats_topic is not None and time_ms > self._beaten_ms:
            self._parts.publisher.send(self._heartbeats_topic, *encode_beat(time_ms), time_ms)
            self._parts.publisher.commit()
            self._beaten_ms = time_ms
        self._beat_at = time.monotonic() + HEARTBEAT_SECONDS

    def _explain_age(self, snapshot: Snapshot) -> str | None:
        """Return why changes are held back for long, if they are."""
        late = snapshot.now_ms - (self._horizon.reached_ms or snapshot.now_ms)
        if late < SLOW_MS:
            return None
        return f"a transaction in the database runs for more than {late / 1000:.0f} s, and changes beside it wait"
