"""A replication session, batch by batch: confirmed, applied, and never lost or skipped."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from reader.http.absence import find_absence
from reader.replication.copy_writer import CopyWriter
from reader.replication.status_publisher import StatusPublisher
from reader.status.counters import ApplyCounters
from reader.storage.errors import DamagedError, MapFullError, StoreFullError
from reader.storage.store import Store
from replication.batch import Batch, HeartbeatRecord
from replication.compatibility import CopyIdentity
from replication.kafka.topic import TopicClient
from replication.kafka.topic_reader import TopicReader
from replication.lags import NO_LAGS
from replication.positions import Bounds, Positions
from replication.readiness import Readiness
from replication.records import Record
from replication.session import ReplicationSession
from replication.topic_monitor import TopicMonitor
from shared.builds import BuildMark
from shared.clock import now_ms
from shared.errors import KafkaError
from shared.heartbeats import Heartbeat
from shared.shape import SHAPE_KEY, Shape
from shared.shards import Share
from shared.topics import partition_of

TOPIC = CopyIdentity("cluster", "t1", 1, 1)
RECREATED = CopyIdentity("cluster", "t2", 1, 1)
ALICE = Record(b"alice", b'{"userId":"alice"}', 0, 0, 0)
BOB = Record(b"bob", b'{"userId":"bob"}', 0, 1, 0)
FIRST = Batch([ALICE], {0: 1}, set())
SECOND = Batch([BOB], {0: 2}, {0})
NOTHING = Batch([], {}, set())


class ScriptedTopic:
    """Answers what the topic is from a list; an answer that is an error is raised."""

    def __init__(self) -> None:
        self.answers: list[CopyIdentity | KafkaError] = []

    def read_identity(self, _: float) -> CopyIdentity:
        """Return the next answer, and the topic as it was once there are no more."""
        answer = self.answers.pop(0) if self.answers else TOPIC
        if isinstance(answer, KafkaError):
            raise answer
        return answer


class ScriptedReader:
    """Returns batches from a list, and nothing after them."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def read_batch(self, *_: object, **__: object) -> Batch:
        """Return the next batch."""
        return self.batches.pop(0) if self.batches else NOTHING


class FailingStore(Store):
    """A store that raises what it is told to, once each, instead of applying."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.failures: list[Exception] = []

    def apply(self, *batch: object) -> None:
        """Fail, or apply."""
        if self.failures:
            raise self.failures.pop(0)
        super().apply(*batch)  # type: ignore[arg-type]


class Scene:
    """A session over a topic of one partition that held two records when it began."""

    def __init__(self, folder: Path) -> None:
        self.topic = ScriptedTopic()
        self.reader = ScriptedReader()
        self.store = FailingStore(folder)
        self.counters = ApplyCounters()
        self.between_reads = 0

    def begin(self, *, trusted: bool, batches: list[Batch], replaces: bool = False) -> ReplicationSession[CopyWriter]:
        """Return the session."""
        self.reader.batches = batches
        return ReplicationSession(
            cast("TopicReader", self.reader),
            TopicMonitor(cast("TopicClient", self.topic), TOPIC),
            CopyWriter(self.store, Share(1), self._run_between_reads, self.counters),
            Positions({0: 0}, Bounds({0: 0}, {0: 2})),
            trusted=trusted,
            replaces=replaces,
            retention_seconds=60,
        )

    def _run_between_reads(self, function: object) -> None:
        assert callable(function)
        self.between_reads += 1
        function()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Give what a session works with."""
    made = Scene(tmp_path)
    yield made
    made.store.close()


def test_a_served_copy_waits_until_the_topic_is_confirmed(scene: Scene) -> None:
    """While Kafka does not say what the topic is, the batch waits, and the session says why."""
    session = scene.begin(trusted=True, batches=[FIRST])
    scene.topic.answers = [KafkaError("no answer"), KafkaError("no answer")]
    assert (True, True) == (session.step(serving=True), session.step(serving=True))
    assert ({}, "no answer") == (scene.store.items(), session.stall_reason)
    assert session.step(serving=True)
    assert ({b"alice": ALICE.value}, None) == (scene.store.items(), session.stall_reason)


def test_no_position_of_an_absence_is_stated_where_another_program_places_keys(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From the first record that is not where CRC-32 places its key, whatever happens, also in an earlier process."""
    alice, bob = (record._replace(partition=partition_of(record.key, 2)) for record in (ALICE, BOB))
    elsewhere = BOB._replace(partition=1 - bob.partition, offset=5)
    store = FailingStore(tmp_path)
    store.write_notes(identity=TOPIC.to_note() | {"partitions": 2})
    absent = next(key for key in (b"carol", b"dave", b"erin") if partition_of(key, 2) == alice.partition)

    def state_absence() -> tuple[int, int] | None:
        view = store.view()
        try:
            return find_absence(view, absent)
        finally:
            view.close()

    def apply(record: Record) -> bool:
        writer = CopyWriter(store, Share(2), lambda function: function(), ApplyCounters())
        return writer.apply(Batch([record], {record.partition: record.offset + 1}, set()))

    assert apply(alice)
    assert apply(bob)
    assert (alice.partition, 0) == state_absence()
    store.failures = [StoreFullError(tmp_path, OSError())]
    assert not apply(elsewhere)
    assert state_absence() is None
    assert apply(elsewhere)
    assert state_absence() is None
    assert 1 == caplog.text.count("the record at offset 5 of partition")


def test_a_served_copy_takes_nothing_of_another_topic(scene: Scene) -> None:
    """A topic that was created again under the same name ends the session before its batch is applied."""
    session = scene.begin(trusted=True, batches=[FIRST])
    scene.topic.answers = [RECREATED]
    assert not session.step(serving=True)
    assert {} == scene.store.items()


def test_a_copy_that_is_not_served_is_asked_about_once_it_is_whole(scene: Scene) -> None:
    """Batches are applied unasked; only a confirmed topic makes the copy caught up."""
    session = scene.begin(trusted=False, batches=[FIRST, SECOND])
    scene.topic.answers = [KafkaError("no answer"), TOPIC]
    assert session.step(serving=False)
    assert 2 == len(scene.topic.answers)
    assert session.step(serving=False)
    assert (False, 2) == (session.caught_up, session.positions.applied)
    assert session.step(serving=False)
    assert session.caught_up


def test_a_copy_of_another_topic_never_becomes_whole(scene: Scene) -> None:
    """The batches of the new topic are in it already, so the session ends."""
    session = scene.begin(trusted=False, batches=[FIRST, SECOND])
    scene.topic.answers = [RECREATED]
    assert (True, False, False) == (session.step(serving=False), session.step(serving=False), session.caught_up)


@pytest.mark.parametrize(("seconds", "goes_on"), [(-3600, True), (1, True), (3600, False)])
def test_a_machine_that_was_suspended_begins_another_session(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, seconds: int, goes_on: bool
) -> None:
    """The monotonic clock stood still, so nothing says how long the copy was away: nothing is applied, or noted.

    A wall clock that is set back, or a little forward, is no suspension.
    """
    scene.store.write_notes(complete=1)
    session = scene.begin(trusted=True, batches=[FIRST, SECOND])
    assert session.step(serving=True)
    monkeypatch.setattr("replication.session.now_ms", lambda: now_ms() + seconds * 1000)
    assert goes_on == session.step(serving=True)
    assert goes_on == (b"bob" in scene.store.items())
    assert 1 == scene.store.note("complete")


def test_a_suspension_counts_in_how_far_a_copy_is_behind(scene: Scene) -> None:
    """What the copy has noted by the wall clock replaces what was counted by the monotonic one."""
    status = StatusPublisher(scene.store, None)
    status.note_complete(time.monotonic())
    scene.store.write_notes(complete=now_ms() - 3_600_000)
    status.recall_complete(scene.store)
    status.publish(Readiness("stale", serves=True), NO_LAGS, ApplyCounters())
    assert status.readiness.complete_at is not None
    assert 3600 <= time.monotonic() - status.readiness.complete_at < 3700


def test_a_batch_that_the_disk_does_not_take_is_tried_again(scene: Scene) -> None:
    """Nothing is skipped, nothing further is read, and the trouble goes with the batch."""
    session = scene.begin(trusted=True, batches=[FIRST, SECOND])
    scene.store.failures = [StoreFullError(scene.store.folder, "full"), StoreFullError(scene.store.folder, "full")]
    assert (True, True) == (session.step(serving=True), session.step(serving=True))
    assert "cannot be written to: full; make room" in str(session.stall_reason)
    assert (0, [SECOND]) == (session.positions.applied, scene.reader.batches)
    assert session.step(serving=True)
    assert (None, 1, {0: 1}) == (session.stall_reason, session.positions.applied, scene.store.offsets())
    assert 1 == scene.counters.records


def test_the_map_grows_between_two_reads(scene: Scene) -> None:
    """The same batch is applied afterwards, in the same step."""
    session = scene.begin(trusted=True, batches=[FIRST])
    scene.store.failures = [MapFullError("full"), MapFullError("full")]
    assert session.step(serving=True)
    assert (2, {b"alice": ALICE.value}) == (scene.between_reads, scene.store.items())


def test_a_damaged_copy_ends_the_session(scene: Scene) -> None:
    """The replicator rebuilds it next to the old one."""
    session = scene.begin(trusted=True, batches=[FIRST])
    scene.store.failures = [DamagedError("damaged")]
    with pytest.raises(DamagedError):
        session.step(serving=True)


def test_what_came_before_a_broken_read_is_applied(scene: Scene) -> None:
    """Then the session ends with the client's own words."""
    session = scene.begin(trusted=True, batches=[FIRST._replace(broken="user-info[0]: offset out of range")])
    with pytest.raises(KafkaError, match=r"reading user-info\[0\]: offset out of range"):
        session.step(serving=True)
    assert {0: 1} == scene.store.offsets()


def test_a_heartbeat_is_noted_as_parsed_and_stored_as_received(scene: Scene) -> None:
    """Its bytes may say more than this version reads."""
    heartbeat = Heartbeat(0, 1, 7_000)
    record = Record(heartbeat.key, b'{"sourceTimeMs": 7000, "more": 1}', 0, 0, 0)
    session = scene.begin(
        trusted=True, batches=[Batch([], {0: 1}, set(), heartbeats=[HeartbeatRecord(heartbeat, record)])]
    )
    assert session.step(serving=True)
    assert {0: 7_000} == session.writer.freshness.by_partition()
    assert [(0, heartbeat)] == scene.store.heartbeats()


def test_a_shape_is_stored_with_its_batch_and_the_newest_stays(scene: Scene) -> None:
    """One that was applied before is skipped, as every record is; a reader's views show it from the batch on."""
    old, new = (Shape(table, "id", (), (), ()).encode() for table in ("old", "new"))
    batches = [
        Batch([], {0: 2}, set(), shapes=[Record(SHAPE_KEY, old, 0, 0, 0), Record(SHAPE_KEY, new, 0, 1, 0)]),
        Batch([], {0: 2}, set(), shapes=[Record(SHAPE_KEY, old, 0, 0, 0)]),
    ]
    session = scene.begin(trusted=True, batches=batches)
    for _ in batches:
        assert session.step(serving=True)
        with closing(scene.store.view()) as view:
            assert new == view.shape


def _mark(offset: int, *, whole: bool) -> Record:
    mark = BuildMark(0, 1, "b1", whole=True)
    if not whole:
        mark = mark._replace(whole=False, percent=40, waits_for="the snapshot")
    return Record(mark.key, mark.value, 0, offset, 0)


def test_a_copy_is_served_only_once_its_values_are_whole(scene: Scene) -> None:
    """It waits, through restarts as well, for the mark behind the last record; from then on it stays served."""
    scene.store.write_notes(identity=TOPIC.to_note())
    unfinished = Batch([], {0: 2}, {0}, marks=[_mark(1, whole=False)])
    session = scene.begin(trusted=False, batches=[unfinished])
    assert session.step(serving=False)
    assert (False, 40) == (session.caught_up, session.writer.wholeness.progress.percent)
    assert "the joiner has not finished the topic yet: it waits for the snapshot" == session.unfinished
    session.save()
    assert (True, None) == (scene.store.note("begun") > 0, scene.store.note("complete"))
    finished = Batch([ALICE._replace(offset=2)], {0: 4}, {0}, marks=[_mark(3, whole=True)])
    later = scene.begin(trusted=scene.store.complete, batches=[unfinished, finished, unfinished])
    assert (True, False) == (later.step(serving=False), later.caught_up)
    assert (True, True, None) == (later.step(serving=False), later.caught_up, later.unfinished)
    later.save()
    afterwards = Batch([], {0: 5}, {0}, marks=[_mark(4, whole=False)])
    scene.reader.batches = [afterwards]
    assert (True, True) == (later.step(serving=True), later.caught_up)
    last = scene.begin(trusted=scene.store.complete, batches=[unfinished, NOTHING])
    last.positions.advance(scene.store.offsets())
    assert (True, True) == (last.step(serving=True), last.caught_up)


def test_a_topic_without_marks_counts_as_whole(scene: Scene) -> None:
    """Another program wrote it, or an older joiner."""
    scene.store.write_notes(identity=TOPIC.to_note())
    session = scene.begin(trusted=False, batches=[FIRST, SECOND])
    assert (True, True, True) == (session.step(serving=False), session.step(serving=False), session.caught_up)
    session.save()
    assert scene.store.complete


def test_an_empty_topic_is_given_time_for_its_first_mark(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """After it the topic counts as one without users, but only until a build begins."""
    scene.store.write_notes(identity=TOPIC.to_note())
    empty = Batch([], {0: 2}, {0}, shapes=[Record(SHAPE_KEY, Shape("users", "id", (), (), ()).encode(), 0, 1, 0)])
    session = scene.begin(trusted=False, batches=[empty])
    assert (True, False) == (session.step(serving=False), session.caught_up)
    assert str(session.unfinished).startswith("the topic holds no user yet")
    beside = scene.begin(trusted=False, replaces=True, batches=[empty])
    monkeypatch.setattr("replication.session.MARK_SECONDS", 0.0)
    assert (True, False) == (beside.step(serving=True), beside.caught_up)
    session.save()
    assert (True, True, False) == (session.step(serving=False), session.caught_up, scene.store.complete)
    scene.reader.batches = [Batch([], {0: 3}, {0}, marks=[_mark(2, whole=False)])]
    assert (True, False) == (session.step(serving=True), session.caught_up)
    scene.reader.batches = [Batch([ALICE._replace(offset=3)], {0: 5}, {0}, marks=[_mark(4, whole=True)])]
    assert (True, True) == (session.step(serving=False), session.caught_up)
    session.save()
    assert scene.store.complete
