"""What the joiner does when Kafka takes its partitions away; Quix is not started."""

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from quixstreams import Application

from joiner.background.progress import CommittedProgress
from joiner.engine.application import JoinerApplication
from joiner.engine.assignment import Assignment
from joiner.engine.loop_guard import LoopGuard
from joiner.health import Health
from shared.errors import Interrupted, StateError

LOST = [TopicPartition("likes", 0), TopicPartition("likes", 1), TopicPartition("changelog-likes", 0)]


def lose_partitions(monkeypatch: pytest.MonkeyPatch, *, unreachable: bool) -> tuple[list[str], Any]:
    """Have Kafka take all partitions away; return what was done in which order, and the application."""
    order: list[str] = []
    progress = CommittedProgress()
    application: Any = JoinerApplication.__new__(JoinerApplication)
    application._assignment = Assignment(progress)  # noqa: SLF001 - instead of a whole application
    application._assignment.assign(TopicPartition("likes", number, 7) for number in (0, 1))  # noqa: SLF001
    application._consumer = SimpleNamespace(_broker_unavailable_since=1.0 if unreachable else None)  # noqa: SLF001
    application._failed = False  # noqa: SLF001
    application._guard = LoopGuard(Health(), progress, application._refuse_commits)  # noqa: SLF001
    application._prepared = SimpleNamespace(changelogs={"changelog-likes"})  # noqa: SLF001
    application._serving = SimpleNamespace(release=lambda: order.append("no user is answered for"))  # noqa: SLF001
    application._stores = SimpleNamespace(close=lambda: order.append("stores closed"))  # noqa: SLF001

    def lose(*_: object) -> None:
        order.append(f"Quix, with {len(progress.positions())} partitions owned")

    monkeypatch.setattr(Application, "_on_lost", lose)
    application._on_lost(None, LOST)  # noqa: SLF001
    return order, application


def test_a_joiner_whose_partitions_were_lost_to_another_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores and partitions are gone before Quix's turn, nothing is committed any more, and the loop ends."""
    order, application = lose_partitions(monkeypatch, unreachable=False)
    assert ["no user is answered for", "stores closed", "Quix, with 0 partitions owned"] == order
    assert application._failed  # noqa: SLF001
    with pytest.raises(StateError) as ended:
        application._guard.check()  # noqa: SLF001
    assert (
        "2 partitions were lost to another joiner, since the group did not hear from this one for longer than its"
        " session; it ends without committing"
    ) == ended.value.what
    assert "start it again" == ended.value.hint


def test_a_joiner_that_kafka_was_out_of_reach_for_continues_from_the_last_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was not paused, so that it may begin again by itself; what was open is not committed either."""
    order, application = lose_partitions(monkeypatch, unreachable=True)
    assert ["no user is answered for", "stores closed", "Quix, with 0 partitions owned"] == order
    assert application._failed  # noqa: SLF001
    with pytest.raises(Interrupted, match=r"^Kafka was out of reach for longer than a session$"):
        application._guard.check()  # noqa: SLF001
