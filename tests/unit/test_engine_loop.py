"""What the joiner's loop holds between two commits, and what ends it; Quix is not started."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, TopicPartition

from joiner.background.progress import CommittedProgress, Uncommitted
from joiner.context import Context
from joiner.core.checkpoint import Checkpoint
from joiner.engine.assignment import Assignment
from joiner.engine.loop import Loop
from joiner.engine.loop_guard import LoopGuard
from joiner.engine.open_checkpoint import Checkpoints, ClosingCheckpoint
from joiner.engine.stores import OpenStores
from joiner.health import Health
from joiner.metrics import Metrics
from joiner.settings import JoinerSettings
from shared.clock import Moment
from shared.errors import Interrupted, StateError
from shared.settings import read_settings
from tests.support.built_in import PLAN
from tests.support.cluster import new_key_forms


class Refusals:
    """Notes whether Quix was stopped from committing."""

    def __init__(self) -> None:
        self.refused = False

    def __call__(self) -> None:
        """Note that it is told."""
        self.refused = True


def quix_checkpoint() -> Any:  # noqa: ANN401 - takes the place of Quix's
    """Return a checkpoint that takes offsets."""
    return SimpleNamespace(store_offset=lambda **_: None)


def checkpoints(refuse: Refusals) -> tuple[Checkpoints, Any]:
    """Return what holds checkpoints, and what says which one Quix has open."""
    processing: Any = SimpleNamespace(checkpoint=quix_checkpoint())
    return Checkpoints(
        processing, OpenStores(), refuse, new_key_forms(), partial(Checkpoint, PLAN), joiner="joiner-0"
    ), processing


def test_a_checkpoint_is_committed_with_all_that_was_read() -> None:
    """It is open until it is closed, closing until it is confirmed, and confirmed once."""
    held, _ = checkpoints(Refusals())
    held.current().note_offsets({("likes", 0): 7})
    assert held.begin_closing() is not None
    assert held.open is None
    committed = held.take_committed()
    assert committed is not None
    assert {("likes", 0): 7} == committed.offsets
    assert held.take_committed() is None


def test_what_quix_has_dropped_is_not_written() -> None:
    """Records of an aborted checkpoint are read again; written with the next one they would count twice."""
    held, processing = checkpoints(Refusals())
    held.current().note_offsets({("likes", 0): 7})
    processing.checkpoint = quix_checkpoint()
    assert held.begin_closing() is None
    assert held.take_committed() is None
    held.current().note_offsets({("likes", 0): 7})
    dropped = held.open
    processing.checkpoint = quix_checkpoint()
    assert held.current() is not dropped


def test_a_thread_that_is_left_behind_writes_nothing_into_the_next_transaction() -> None:
    """Quix does not wait for it for ever in a rebalance; it ends at its next record, and nothing more is committed."""
    refusals = Refusals()
    held, processing = checkpoints(refusals)
    held.current()
    closing = held.begin_closing()
    assert closing is not None
    held.require_open(closing)
    assert not refusals.refused
    processing.checkpoint = quix_checkpoint()
    with pytest.raises(Interrupted, match="took longer than a rebalance may"):
        held.require_open(closing)
    assert refusals.refused


def test_a_commit_in_a_rebalance_counts_for_nothing() -> None:
    """Quix does not say whether it succeeded; what was committed is asked for again with the next assignment."""
    held, _ = checkpoints(Refusals())
    held.current()
    held.begin_closing()
    held.forget_closing()
    assert held.take_committed() is None


def test_the_first_error_of_a_callback_ends_the_loop() -> None:
    """Until the loop raises it nothing may be committed; later ones follow from it."""
    refusals = Refusals()
    guard = LoopGuard(Health(), CommittedProgress(), refusals)
    guard.check()
    for message in ("lost", "closed"):
        with guard.defer_errors():
            raise StateError(message)
    assert refusals.refused
    with pytest.raises(StateError, match="lost"):
        guard.check()
    guard.check()


def test_a_failure_of_a_background_thread_ends_the_loop() -> None:
    """It stays one until the process ends."""
    progress = CommittedProgress()
    guard = LoopGuard(Health(), progress, Refusals())
    progress.failure = StateError("another topic")
    for _ in range(2):
        with pytest.raises(StateError, match="another topic"):
            guard.check()


def test_an_assignment_begins_where_the_group_has_committed() -> None:
    """A partition that was never read begins at 0, and its records say nothing of how long changes take."""
    progress = CommittedProgress()
    assignment = Assignment(progress)
    assignment.assign([TopicPartition("likes", 0, 7), TopicPartition("likes", 1, OFFSET_INVALID)])
    assert {("likes", 0): 7, ("likes", 1): 0} == assignment.next_offsets
    assert {("likes", 1)} == assignment.first_read
    assert {("likes", 0): 7, ("likes", 1): 0} == progress.positions()


def test_a_partition_that_was_released_is_not_owned_by_a_later_commit() -> None:
    """Its next owner says how far it is."""
    progress = CommittedProgress()
    assignment = Assignment(progress)
    assignment.assign([TopicPartition("likes", number, 7) for number in (0, 1)])
    assignment.release([TopicPartition("likes", 1)])
    assignment.note_commit(ClosingCheckpoint(Moment(0.0, 0.0), {("likes", 0): 9, ("likes", 1): 9}, {}, [], {}))
    assert {("likes", 0): 10} == assignment.next_offsets
    assert {("likes", 0): 10} == progress.positions()
    assignment.release_all()
    assert {} == progress.positions()


def test_what_was_read_is_uncommitted_until_its_commit_is_known() -> None:
    """Even where a partition is owned no more by then: it is what a restart reads again."""
    progress = CommittedProgress()
    assignment = Assignment(progress)
    assignment.assign([TopicPartition("likes", number, 7) for number in (0, 1)])
    progress.note_read({("likes", 0): 7, ("likes", 1): 8})
    progress.note_read({("likes", 0): 9})
    assert {("likes", 0): Uncommitted(7, 9), ("likes", 1): Uncommitted(7, 8)} == progress.find_uncommitted()
    assignment.note_commit(ClosingCheckpoint(Moment(0.0, 0.0), {("likes", 0): 9}, {}, [], {}))
    assignment.release_all()
    assert {("likes", 1): Uncommitted(7, 8)} == progress.find_uncommitted()
    assert 10 == progress.reached(("likes", 0))


def test_markers_behind_the_last_record_are_read_as_well() -> None:
    """Otherwise the internal topic would keep its last record for ever, which nobody needs."""
    assignment = Assignment(CommittedProgress())
    assignment.assign([TopicPartition("user-info-changes", 0, 5), TopicPartition("likes", 0, 5)])
    assert {} == assignment.find_trailing_markers("user-info-changes")
    committed = ClosingCheckpoint(
        Moment(0.0, 0.0), {("user-info-changes", 0): 6}, {("user-info-changes", 0): 9, ("likes", 0): 9}, [], {}
    )
    assignment.note_commit(committed)
    assert {("user-info-changes", 0): 8} == assignment.find_trailing_markers("user-info-changes")


def message(topic: str, key: bytes, value: bytes | None) -> Any:  # noqa: ANN401 - takes the place of the client's
    """Return a record as the client hands it over."""
    parts = {"topic": topic, "partition": 0, "offset": 7, "key": key, "value": value, "timestamp": (1, 1_000)}
    return SimpleNamespace(**{name: lambda part=part: part for name, part in parts.items()})


def open_loop() -> tuple[Loop, Checkpoints]:
    """Return a loop that owns a partition of users, and what it fills."""
    nothing: Any = None
    context = Context(read_settings(JoinerSettings), {}, nothing, Health(), Metrics())
    held, processing = checkpoints(Refusals())
    processing.producer = processing.consumer = nothing
    assignment = Assignment(CommittedProgress())
    assignment.assign([TopicPartition("users", 0, 7)])
    guard = LoopGuard(context.health, assignment.progress, Refusals())
    return Loop(context, processing, assignment, held, guard), held


@pytest.mark.parametrize("placeholder", ["__debezium_unavailable_value", "mine"])
def test_a_row_of_users_needs_no_store(monkeypatch: pytest.MonkeyPatch, placeholder: str) -> None:
    """Rows of users are passed on as they are, whatever the settings say of their columns."""
    monkeypatch.setenv("UNAVAILABLE_VALUE", placeholder)
    loop, held = open_loop()
    loop._take([message("users", b"1", b'{"user_id": 1}')])  # noqa: SLF001 - one turn without the client
    assert held.open is not None
    assert (1, []) == (held.open.size, held.open.letters)


def test_a_key_of_another_form_ends_the_loop() -> None:
    """Deletions too; a dead letter's key has no form."""
    loop, held = open_loop()
    loop._take([message("users", b"1", b'{"user_id": 1}'), message("users", b'{"user_id":2}', b"{")])  # noqa: SLF001
    assert held.open is not None
    held.open.offsets.clear()
    with pytest.raises(StateError, match=r"users has keys of two forms, .* \(at users\[0\]@7\)"):
        loop._take([message("users", b'{"user_id":2}', None)])  # noqa: SLF001 - one turn without the client
    assert {} == held.open.offsets
