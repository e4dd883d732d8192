"""Whether answers that readers gave are ones that a topic allows, decided afterwards from all that was in it. Pure.

An answer is right if it is what the topic had of that user at one moment, and if that moment is no earlier than what
that reader was known to hold by its answers before, or than what the request asked for.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

Place = tuple[int, int]
"""Partition and offset."""


@dataclass(frozen=True, slots=True)
class Given:
    """An answer of 200 or 404.

    Args:
        began: when the request left, by any clock that does not go back.
        ended: when the answer was there.
        reader: who gave it.
        user: who was asked for.
        place: of the record, as the headers say; None where the answer is 404.
        body: of the record.
        asked: partition -> the offset that the request asked for at least.
    """

    began: float
    ended: float
    reader: int
    user: bytes
    place: Place | None
    body: bytes
    asked: Mapping[int, int]


class Written(NamedTuple):
    """One record of a user: its offset and value, None where it deletes."""

    offset: int
    value: bytes | None


@dataclass(frozen=True)
class History:
    """All that was written about one user, by offset, in one partition."""

    partition: int
    written: list[Written]

    def wrong(self, given: Given, since: int) -> str | None:
        """Return why an answer cannot be; None where it can.

        Args:
            given: the answer.
            since: offset of the partition that the reader held for certain; -1 where nothing is.
        """
        held = [one for one in self.written if one.offset <= since]
        if given.place is None:
            absent = not held or held[-1].value is None
            return None if absent or self._gone_after(since) is not None else f"404 though it held {held[-1]}"
        partition, offset = given.place
        if Written(offset, given.body) not in self.written or partition != self.partition:
            return "the topic has no such record at this place"
        if held and offset < held[-1].offset:
            return f"older than what it held: {held[-1]}"
        return None

    def held_since(self, given: Given, since: int) -> int:
        """Return the offset that the reader held for certain when it gave an answer that can be."""
        if given.place is not None:
            return max(since, given.place[1])
        held = [one for one in self.written if one.offset <= since]
        gone = self._gone_after(since)
        return gone if held and held[-1].value is not None and gone is not None else since

    def _gone_after(self, since: int) -> int | None:
        return next((one.offset for one in self.written if one.offset > since and one.value is None), None)


NOBODY = History(-1, [])


def wrong_answers(histories: Mapping[bytes, History], answers: Iterable[Given]) -> list[str]:
    """Return what is wrong with answers, as messages.

    Args:
        histories: user -> all that was written; a user who is not there never was.
        answers: in any order.
    """
    wrong = []
    held: dict[tuple[int, int], int] = {}
    given_so_far: list[tuple[float, tuple[int, int], int]] = []
    for given in sorted(answers, key=lambda given: given.began):
        # What was answered before this was asked, to any client.
        while given_so_far and given_so_far[0][0] < given.began:
            _, place, offset = heapq.heappop(given_so_far)
            held[place] = max(offset, held.get(place, -1))
        history = histories.get(given.user, NOBODY)
        reader = given.reader, history.partition
        since = max(held.get(reader, -1), given.asked.get(history.partition, -1))
        reason = history.wrong(given, since)
        if reason is None:
            heapq.heappush(given_so_far, (given.ended, reader, history.held_since(given, since)))
        else:
            wrong.append(f"{given}: {reason}")
    return wrong
