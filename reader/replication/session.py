"""One topic as it is, followed into one copy, step by step. Knows neither Kafka's client nor LMDB.

Guarantees: nothing that is served is a mix of two topics of one name. A client that was reading the old one goes on in
the new one without a word, so the topic's identity is asked again after each batch was read, and before it is taken in
by a copy that is served; a copy that is not served yet takes batches in unasked, and is asked for before it goes live.
"""

import time
from dataclasses import dataclass, field

from reader.replication.compatibility import CopyIdentity
from reader.replication.freshness import Freshness
from reader.replication.topic import Batch, Bounds, PendingEnds, TopicClient, TopicReader
from reader.status.counters import ApplyCounters
from reader.storage.read_view import RunBetweenReads
from reader.storage.store import MapFullError, Store, StoreFullError
from shared.errors import KafkaError
from shared.heartbeats import parse_heartbeat

SERVING_BATCH = 500
"""Records in one go while answering: few enough that answers do not wait long for the interpreter.

Kafka's client hands them over in one call that keeps the interpreter to itself: half a millisecond for 500 of them.
"""

REPLAY_BATCH = 5_000
"""Records in one transaction while nobody waits for answers."""

POLL_SECONDS = 0.05
LOOK_SECONDS = 2.0
"""How often the topic's identity and ends are looked at, and thereby whether Kafka is there."""

CONFIRM_SECONDS = 2.0
MIN_RETENTION_SECONDS = 30.0
"""Absences shorter than this are not told apart within a session, whatever the topic's `delete.retention.ms`."""

SYNC_SECONDS = 5.0


@dataclass
class ReplicationSession:
    """A session: from the offsets of a copy until the topic is another one, or cannot be read.

    Args:
        topic: what to ask.
        reading: what to read, from the copy's offsets.
        store: the copy.
        identity: of the topic that the copy is of.
        bounds: of the topic when the session began.
        positions: partition -> the offset to go on from, for every partition.
        between_reads: runs a function where the store is read, between two reads.
        trusted: the copy was complete before, so that it is served, or may be after a restart.
        retention_seconds: how long the topic remembers deletions.
        contact: when Kafka last answered, on the monotonic clock.
        intake: where batches are counted.
    """

    topic: TopicClient
    reading: TopicReader
    store: Store
    identity: CopyIdentity
    bounds: Bounds
    positions: dict[int, int]
    between_reads: RunBetweenReads
    trusted: bool
    retention_seconds: float
    contact: float
    intake: ApplyCounters = field(default_factory=ApplyCounters)
    caught_up: bool = False
    silence: str | None = None
    full: str | None = None
    ends: dict[int, int] = field(default_factory=dict)
    proven: dict[int, float] = field(default_factory=dict)
    at_end: set[int] = field(default_factory=set)
    _waiting: Batch | None = None
    _asked: PendingEnds | None = None
    _look_at: float = 0.0
    _sync_at: float = 0.0
    _kept_once: bool = False

    def __post_init__(self) -> None:
        """Begin with the ends that were found, and the heartbeats that the copy has."""
        self.ends.update(self.bounds.ends)
        self.freshness = read_freshness(self.store, self.identity.partitions)
        self._first = sum(self.positions.values())
        self._look_at = time.monotonic() + LOOK_SECONDS
        self._sync_at = time.monotonic() + SYNC_SECONDS

    @property
    def trouble(self) -> str | None:
        """Why it does not get on; None where it does."""
        return self.full or self.silence

    def step(self, *, serving: bool) -> bool:
        """Read a batch and take it in; return False where the topic must be looked at anew.

        Args:
            serving: whether answers are given meanwhile.
        """
        timed = serving and self.trusted
        limit = SERVING_BATCH if serving else REPLAY_BATCH
        batch = self._waiting or self.reading.next(limit, POLL_SECONDS, timed=timed)
        moved = any(offset > self.positions[partition] for partition, offset in batch.offsets.items())
        if moved and self.trusted:
            # What is not confirmed waits: it may be another topic's.
            self._waiting = batch
            confirmed = self._is_same()
            if confirmed is None:
                return True
            if not confirmed:
                return False
        self._waiting = batch
        if moved and not self._take(batch):
            return True
        self._waiting = None
        self.intake.skipped += batch.skipped
        self._note_ends(batch)
        if batch.broken is not None:
            raise KafkaError(f"reading {batch.broken}")
        return self._reach_the_ends() and self._look()

    def _is_same(self) -> bool | None:
        """Ask whether the topic is still the one that is followed; None where Kafka does not say."""
        try:
            same = self.topic.identity(CONFIRM_SECONDS) == self.identity
        except KafkaError as error:
            self.silence = str(error)
            return None
        self.contact = time.monotonic()
        self.silence = None
        return same

    def _take(self, batch: Batch) -> bool:
        """Have the store take a batch in; return False where it must be tried again later: nothing is skipped."""
        while True:
            began = time.perf_counter()
            try:
                self.store.apply(batch.records, batch.offsets, batch.heartbeats)
            except MapFullError:
                self.between_reads(self.store.grow)
            except StoreFullError as full:
                self.full = str(full)
                return False
            else:
                self.intake.count_batch(batch.records, time.perf_counter() - began)
                self._note_times(batch)
                self.full = None
                for partition, offset in batch.offsets.items():
                    self.positions[partition] = max(offset, self.positions[partition])
                return True

    def _note_times(self, batch: Batch) -> None:
        """Note how old what was taken in is, by the source's clock."""
        for record in batch.heartbeats:
            heartbeat = parse_heartbeat(record.key, record.value)
            if heartbeat is not None:
                self.freshness.take(record.partition, heartbeat)
        self.intake.count_ages(batch.oldest_ms, time.time_ns() // 1_000_000)
        self.intake.replayed += len(batch.records) - len(batch.oldest_ms)

    def _note_ends(self, batch: Batch) -> None:
        now = time.monotonic()
        self.at_end.difference_update(batch.offsets)
        self.at_end.update(batch.ended)
        self.proven.update(dict.fromkeys(batch.ended, now))

    def _reach_the_ends(self) -> bool:
        """Be caught up, once the ends seen at the beginning are reached; return False where it is another topic."""
        if self.caught_up or any(self.positions[partition] < end for partition, end in self.bounds.ends.items()):
            return True
        same = self._is_same()
        if same:
            self.caught_up = self.trusted = True
            for partition in self.positions:
                self.proven.setdefault(partition, time.monotonic())
        return same is not False

    def _look(self) -> bool:
        """Look at the topic every now and then; return False where it is another one."""
        now = time.monotonic()
        if self._asked is None and now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            if self._is_same() is False:
                return False
            if self._was_away_too_long(now):
                return False
            if self.silence is None:
                self._asked = self.topic.ask_ends(self.identity.partitions)
        if self._asked is not None:
            self._take_answer(self._asked)
        if now >= self._sync_at:
            self._sync_at = now + SYNC_SECONDS
            self.keep()
        return True

    def _was_away_too_long(self, now: float) -> bool:
        """Tell whether deletions may have been forgotten before they were read: Kafka was away, or the disk full."""
        allowed = max(self.retention_seconds, MIN_RETENTION_SECONDS)
        return self.silence is None and self.complete_at is not None and now - self.complete_at > allowed

    def _take_answer(self, asked: PendingEnds) -> None:
        try:
            ends = asked.answer()
        except KafkaError as error:
            self._asked, self.silence = None, str(error)
            return
        if ends is None:
            return
        self._asked, self.contact = None, time.monotonic()
        for partition, end in ends.items():
            self.ends[partition] = end
            if self.positions[partition] >= end:
                self.proven[partition] = max(asked.at, self.proven.get(partition, 0.0))

    @property
    def first(self) -> int:
        """Where the session began, in records by offset, counted as `applied` is."""
        return self._first - sum(self.bounds.firsts.values())

    @property
    def applied(self) -> int:
        """How many records, by offset, the copy has taken in of the topic."""
        return sum(self.positions.values()) - sum(self.bounds.firsts.values())

    @property
    def target(self) -> int:
        """How many the topic had when it was last looked at; until it has caught up, when the session began."""
        ends = self.ends if self.caught_up else self.bounds.ends
        return max(sum(ends.values()) - sum(self.bounds.firsts.values()), self.applied if self.caught_up else 0)

    def held(self, now: float) -> list[float | None]:
        """Return for each partition when its end was last in the copy: now, where nothing came after it."""
        return [now if partition in self.at_end else self.proven.get(partition) for partition in self.positions]

    @property
    def complete_at(self) -> float | None:
        """When the copy last held, provably, all that the topic had; monotonic clock; None: not yet in this session."""
        return min(self.proven.values()) if self.caught_up and len(self.proven) == len(self.positions) else None

    def keep(self) -> None:
        """Note when the copy was last complete, and have the disk hold it while the topic is only followed."""
        try:
            if self.complete_at is not None:
                self.store.write_notes(complete=to_epoch_ms(self.complete_at))
            if self._kept_once:
                self.store.sync()
        except MapFullError:
            self.between_reads(self.store.grow)
            self.keep()
        except StoreFullError as full:
            self.full = str(full)
        else:
            self._kept_once = self.caught_up
            if self._waiting is None:
                self.full = None


def read_freshness(store: Store, partitions: int) -> Freshness:
    """Return how fresh a copy is.

    Args:
        store: the copy.
        partitions: how many its topic has.
    """
    freshness = Freshness(partitions)
    for partition, heartbeat in store.heartbeats():
        freshness.take(partition, heartbeat)
    return freshness


def to_epoch_ms(moment: float) -> int:
    """Return a moment of the monotonic clock as epoch ms."""
    return time.time_ns() // 1_000_000 - round((time.monotonic() - moment) * 1000)
