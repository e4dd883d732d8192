"""One topic as it is, replicated into one copy, step by step. Knows neither Kafka's client nor what a copy is in.

Guarantees: what is served is never a mix of two topics of one name. A client that reads the old topic continues in the
new one without noticing, so the topic's identity is asked again after each batch was read, and before the batch is
applied to a copy that is served. A copy that is not served yet takes batches without that; its topic is confirmed
before it goes live.

A record's way: `step` takes a batch from the topic reader, has the monitor confirm the topic, has the writer apply the
batch, and advances the positions.
"""

import time
from typing import Generic, TypeVar

from replication.batch import Batch, BatchReader
from replication.copy_writer import CopyWriter
from replication.positions import Positions
from replication.topic_monitor import TopicMonitor
from shared.clock import now_ms
from shared.errors import KafkaError

SERVING_BATCH = 500
"""Records in one read while clients are served: few enough that they do not wait long for the interpreter.

Kafka's client hands them over in one call that keeps the interpreter to itself: half a millisecond for 500 of them.
"""

REPLAY_BATCH = 5_000
"""Records in one transaction while no client is served."""

MARK_SECONDS = 5.0
"""How long an empty topic may lack the marks of a build: the joiner creates the topic a moment before."""

POLL_SECONDS = 0.05
"""How long a read waits for records: that a stop is asked for, or a check is due, is noticed within this."""

MIN_RETENTION_SECONDS = 30.0
"""Absences shorter than this do not end a session, whatever the topic's `delete.retention.ms`."""

SUSPENSION_SECONDS = 10.0
"""How much the wall clock may gain on the monotonic one between two steps before the machine counts as suspended."""

SAVE_SECONDS = 5.0
"""How often the copy is saved: a sync in the middle of traffic costs tens of milliseconds."""


Writer = TypeVar("Writer", bound=CopyWriter)


class ReplicationSession(Generic[Writer]):
    """From the positions of a copy until the topic is another one, or cannot be read.

    Everything here belongs to the replicator thread.

    Args:
        reader: reads the topic, from these positions on.
        monitor: asks what the topic is.
        writer: writes the copy.
        positions: of the copy.
        trusted: the copy was complete before, so that it is served, or may be after a restart.
        replaces: the copy is to take the place of one that is served.
        retention_seconds: how long the topic keeps tombstones.

    Attributes:
        caught_up: whether the copy holds all that the topic had when the session began, and whole values only.
    """

    def __init__(  # noqa: PLR0913 - its parts, and two facts about them
        self,
        reader: BatchReader,
        monitor: TopicMonitor,
        writer: Writer,
        positions: Positions,
        *,
        trusted: bool,
        replaces: bool,
        retention_seconds: float,
    ) -> None:
        self.monitor = monitor
        self.writer = writer
        self.positions = positions
        self.caught_up = False
        self._reader = reader
        self._trusted = self._kept = trusted
        self._replaces = replaces
        self._began = time.monotonic()
        self._max_absence_seconds = max(retention_seconds, MIN_RETENTION_SECONDS)
        self._waiting: Batch | None = None
        self._wall_lead = _read_wall_lead()
        self._save_at = time.monotonic() + SAVE_SECONDS

    def step(self, *, serving: bool) -> bool:
        """Read a batch and apply it; return False if another session must begin, with the topic as it is then.

        Args:
            serving: whether clients are served meanwhile.

        Raises:
            KafkaError: the topic can no longer be read.
            DamagedError: the copy cannot be used any more.
        """
        batch = self._waiting or self._read(serving=serving)
        if self._was_suspended():
            return False
        if self.positions.would_advance(batch.offsets):
            # Until it is confirmed and applied it waits: it may be another topic's, or the disk may be full.
            self._waiting = batch
            if self._trusted:
                same = self.monitor.confirm()
                if not same:
                    return same is None
            if not self.writer.apply(batch):
                return True
            self.positions.advance(batch.offsets)
            self._waiting = None
        self._finish(batch)
        return self._catch_up() and self._check()

    def _was_suspended(self) -> bool:
        """Return whether the machine was suspended since the last step.

        The monotonic clock stood still meanwhile, so tombstones may be gone though no absence was measured. Another
        session compares the wall clock with what the copy has noted.
        """
        before, self._wall_lead = self._wall_lead, _read_wall_lead()
        return self._wall_lead - before > SUSPENSION_SECONDS

    def _read(self, *, serving: bool) -> Batch:
        limit = SERVING_BATCH if serving else REPLAY_BATCH
        return self._reader.read_batch(limit, POLL_SECONDS, timed=serving and self._trusted)

    def _finish(self, batch: Batch) -> None:
        """Note what a batch says besides its records."""
        self.writer.count_skipped(batch.skipped)
        self.positions.note_batch(batch.offsets, batch.ended, time.monotonic())
        if batch.broken is not None:
            raise KafkaError(f"reading {batch.broken}")

    def _catch_up(self) -> bool:
        """Become caught up once the first ends are reached, and values are whole; return False if it is another topic.

        That lasts, whatever marks follow; only an empty copy, which has no values yet, gives it up for a first build.
        """
        if (self.caught_up and self._kept) or not self.positions.have_reached_first_ends:
            return True
        is_void = not self._kept and self.writer.is_void
        whole = self._kept or (self._may_stay_void() if is_void else self.writer.wholeness.whole is not False)
        if whole and not self.caught_up:
            same = self.monitor.confirm()
            if not same:
                return same is None
            self.positions.note_caught_up(time.monotonic())
        self.caught_up = self._trusted = whole
        self._kept = whole and not is_void
        return True

    def _may_stay_void(self) -> bool:
        """Return whether a topic with neither users nor marks counts as one without users."""
        return self.caught_up or (not self._replaces and time.monotonic() - self._began >= MARK_SECONDS)

    @property
    def unfinished(self) -> str | None:
        """Why the copy does not count as whole though it has reached the first ends, as a message; None if it does."""
        if self.caught_up or self._kept or not self.positions.have_reached_first_ends:
            return None
        if self.writer.is_void:
            return "the topic holds no user yet; a joiner that is about to fill it says so within seconds"
        if self.writer.wholeness.whole is not False:
            return None
        waits_for = self.writer.wholeness.progress.waits_for
        return "the joiner has not finished the topic yet" + (f": it waits for {waits_for}" if waits_for else "")

    def _check(self) -> bool:
        """Check the topic and save, each when it is time; return False if another session must begin."""
        now = time.monotonic()
        if self.monitor.is_due(now):
            if self.monitor.confirm() is False:
                return False
            if self.monitor.silence is None:
                if self._may_have_missed_tombstones(now):
                    return False
                self.monitor.ask_ends()
        answer = self.monitor.poll_ends()
        if answer is not None:
            self.positions.note_ends(answer.ends, answer.asked_at)
        if now >= self._save_at:
            self._save_at = now + SAVE_SECONDS
            self.save()
        return True

    def _may_have_missed_tombstones(self, now: float) -> bool:
        """Return whether Kafka was away, or the disk full, for so long that tombstones may be compacted away unread."""
        return self.complete_at is not None and now - self.complete_at > self._max_absence_seconds

    @property
    def complete_at(self) -> float | None:
        """When the copy last held, provably, all that the topic had; monotonic clock; None: not yet in this session."""
        return self.positions.complete_at if self.positions.have_reached_first_ends else None

    @property
    def stall_reason(self) -> str | None:
        """Why it makes no progress; None if it does."""
        return self.writer.full_reason or self.monitor.silence

    @property
    def target(self) -> int:
        """How many records, by offset, are to be applied: those that it began with, and once it has these, all."""
        return self.positions.target if self.positions.have_reached_first_ends else self.positions.first_target

    def save(self) -> None:
        """Save the copy; only called while no batch waits for a full disk."""
        self.writer.save(self.complete_at, whole=self.caught_up and self._kept)


def _read_wall_lead() -> float:
    """Return by how many seconds the wall clock is ahead of the monotonic one."""
    return now_ms() / 1000 - time.monotonic()
