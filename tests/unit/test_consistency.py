"""What the test of retrying clients calls a wrong answer, on answers made for it."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from tests.support.consistency import History, Observation, RecordId, Written, find_violations

HISTORIES = {
    b"alice": History(0, [Written(1, b"first"), Written(5, b"second"), Written(9, b"third")]),
    b"bob": History(0, [Written(2, b"bob"), Written(6, None), Written(8, b"again")]),
    b"carol": History(1, [Written(4, b"carol")]),
}


def answer(
    at: float,
    user: bytes,
    place: RecordId | None,
    body: bytes = b"",
    *,
    reader: int = 0,
    asked: Mapping[int, int] = MappingProxyType({}),
    absent_at: RecordId | None = None,
) -> Observation:
    """Return an answer that took no time."""
    return Observation(at, at, reader, user, place, body, asked, absent_at)


@pytest.mark.parametrize(
    "answers",
    [
        [answer(0, b"nobody", None)],
        [answer(0, b"alice", None), answer(1, b"alice", (0, 1), b"first")],
        [answer(0, b"alice", (0, 5), b"second"), answer(1, b"bob", None), answer(2, b"bob", (0, 8), b"again")],
        [answer(0, b"alice", (0, 5), b"second"), answer(1, b"alice", (0, 1), b"first", reader=1)],
        [answer(0, b"alice", (0, 5), b"second", asked={0: 7}), answer(1, b"bob", None, asked={0: 6})],
        [answer(0, b"alice", (0, 9), b"third"), answer(1, b"carol", None)],
        [answer(0, b"nobody", None, absent_at=(0, 7)), answer(1, b"bob", None, absent_at=(0, 7))],
        [answer(0, b"bob", None, absent_at=(0, 1)), answer(1, b"bob", (0, 2), b"bob")],
        [answer(0, b"bob", None, absent_at=(0, 6)), answer(1, b"bob", (0, 2), b"bob", reader=1)],
        [Observation(0, 3, 0, b"alice", (0, 5), b"second", {}), answer(1, b"alice", (0, 1), b"first")],
    ],
)
def test_what_the_topic_allows_is_right(answers: list[Observation]) -> None:
    """Each reader advances by itself, and overlapping requests may be answered in any order."""
    assert [] == find_violations(HISTORIES, answers)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([answer(0, b"nobody", (0, 1), b"first")], "no such record at this place"),
        ([answer(0, b"alice", (0, 1), b"second")], "no such record at this place"),
        ([answer(0, b"alice", (1, 1), b"first")], "no such record at this place"),
        ([answer(0, b"alice", (0, 5), b"second"), answer(1, b"alice", (0, 1), b"first")], "older than what it held"),
        ([answer(0, b"alice", (0, 5), b"second"), answer(1, b"alice", None)], "404 though it held"),
        ([answer(0, b"bob", (0, 8), b"again"), answer(1, b"alice", (0, 1), b"first")], "older than what it held"),
        ([answer(0, b"bob", (0, 2), b"bob"), answer(1, b"bob", None), answer(2, b"bob", (0, 2), b"bob")], "older"),
        ([answer(0, b"bob", (0, 8), b"again"), answer(1, b"bob", None)], "404 though it held"),
        ([answer(0, b"alice", (0, 1), b"first", asked={0: 5})], "older than what it held"),
        ([answer(0, b"carol", None, asked={1: 4})], "404 though it held"),
        ([answer(0, b"bob", None, absent_at=(0, 8))], "404 though there was"),
        ([answer(0, b"bob", None, absent_at=(1, 6))], "in this partition"),
        ([answer(0, b"bob", None, absent_at=(0, 7)), answer(1, b"alice", (0, 1), b"first")], "older than what it held"),
        ([answer(0, b"bob", None, absent_at=(0, 6)), answer(1, b"bob", (0, 2), b"bob", asked={0: 6})], "older"),
        ([answer(0, b"alice", (0, 9), b"third"), answer(1, b"bob", None, absent_at=(0, 7))], "older offset"),
        ([answer(0, b"nobody", None, absent_at=(0, 9)), answer(1, b"x", None, absent_at=(0, 8))], "older offset"),
    ],
)
def test_answers_that_the_topic_does_not_allow_are_named(answers: list[Observation], reason: str) -> None:
    """Bytes of another record, a user who is there and is said not to be, and going back in time."""
    (said,) = find_violations(HISTORIES, answers)
    assert reason in said
