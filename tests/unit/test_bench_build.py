"""What the measurement of builds lets pass, and what it calls false."""

import pytest

from bench.build.first import Form, judge_final
from bench.build.history import FIELDS, HistoryJudge
from bench.joiner.workload import COUNT_KEYS, Workload

HISTORY: dict[int, tuple[list[object], ...]] = {7: (["ann"], [2], [0], [0], [0])}


def record(username: str, tweets: int) -> dict[str, object]:
    """Return a record of a user without other rows."""
    return dict(zip(FIELDS, (username, tweets, 0, 0, 0), strict=True))


@pytest.mark.parametrize(
    ("shown", "is_right"),
    [
        ([("ann", 2), ("ann", 4), ("eve", 5)], True),
        ([("eve", 2), ("eve", 3)], True),
        ([("ann", 1)], False),
        ([("ann", 4), ("ann", 3)], False),
        ([("eve", 5), ("ann", 5)], False),
        ([("bob", 5)], False),
        ([("ann", 6)], False),
        ([None, ("eve", 3)], True),
        ([("ann", 3), None, ("ann", 3)], False),
        ([("eve", 3), None], False),
    ],
)
def test_what_is_shown_was_true_at_some_moment_and_never_goes_back(
    shown: list[tuple[str, int] | None], *, is_right: bool
) -> None:
    """Values may be left out; one from before what was shown is false, and so is one that never was."""
    history = {user: tuple(list(values) for values in each) for user, each in HISTORY.items()}
    judge = HistoryJudge(history)
    history[7][0].extend([None, "eve"])
    history[7][1].extend([3, 4, 5])
    said = [judge(7, None if each is None else record(*each)) for each in shown]
    assert is_right is (said == [None] * len(shown))


def test_a_first_build_shows_final_records_only() -> None:
    """Neither a count that is too small, nor a user that is not there yet."""
    workload = Workload(100, counts={1: [3, 2, 1, 0]})
    final = {"username": "user1", **dict(zip(COUNT_KEYS, (3, 2, 1, 0), strict=True))}
    judge = judge_final(workload)
    assert judge(1, final) is None
    assert judge(1, {**final, "likeCount": 1}) is not None
    assert judge(1, None) is not None


def test_kills_are_spread_over_the_build() -> None:
    """The last one comes when records are written, the others before; a second joiner comes and goes between them."""
    percents = [percent for percent, _ in Form("both", 5, second=True).plan()]
    assert sorted(percents) == percents
    assert 7 == len(percents)
    assert percents[-1] > 90
