"""What the reader says of itself on /readyz."""

import pytest

from replication.readiness import Readiness, State, estimate_seconds_left


@pytest.mark.parametrize(
    ("state", "ready"),
    [("starting", False), ("replaying", False), ("ready", True), ("stale", True), ("failed", False)],
)
def test_traffic_may_come_when_ready_or_stale(state: State, ready: bool) -> None:
    """A stale reader answers as it did; a failed one needs an operator, though it keeps serving."""
    assert ready == Readiness(state=state).accepts_traffic


def test_the_report_has_all_its_keys_in_every_state() -> None:
    """Other programs read it."""
    report = Readiness(state="replaying", applied=50, target=200, seconds_left=3.0, reason="catching up").to_document()
    assert {
        "state": "replaying",
        "applied": 50,
        "target": 200,
        "percent": 25.0,
        "secondsLeft": 3.0,
        "reason": "catching up",
    } == report
    assert list(report) == list(Readiness().to_document())
    assert {"starting", None} == set(Readiness().to_document().values())


@pytest.mark.parametrize(
    ("applied", "target", "percent"), [(0, 0, 100.0), (1, 3, 33.3), (200, 200, 100.0), (0, 5, 0.0)]
)
def test_percent_is_of_what_the_topic_has(applied: int, target: int, percent: float) -> None:
    """An empty topic is all there."""
    assert percent == Readiness(applied=applied, target=target).percent


@pytest.mark.parametrize(
    ("first", "applied", "target", "seconds", "left"),
    [
        (0, 100, 300, 1.0, 2.0),
        (100, 200, 300, 5.0, 5.0),
        (0, 300, 300, 5.0, 0.0),
        (100, 100, 300, 5.0, None),
        (0, 100, 300, 0.0, None),
    ],
)
def test_seconds_left_goes_by_the_pace_so_far(
    first: int, applied: int, target: int, seconds: float, left: float | None
) -> None:
    """Where nothing has been read yet there is no pace to judge by."""
    assert left == estimate_seconds_left(first, applied, target, seconds)
