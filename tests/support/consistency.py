"""Whether the responses of readers are ones that a topic allows, decided afterwards from all that was in it. Pure.

An answer is right if it is what the topic had of that user at one moment, and if that moment is no earlier than what
that reader was known to hold by its answers before, or than what the request asked for.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

RecordId = tuple[int, int]
"""Partition and offset of a record."""


@dataclass(frozen=True, slots=True)
class Observation:
    """An answer of 200 or 404.

    Args:
        began: when the request left, by any clock that does not go back.
        ended: when the answer was there.
        reader: the number of the one that gave it.
        user: the id that was asked for.
        record_id: of the record, as the headers say; None if the answer is 404.
        body: of the record.
        asked: partition -> the offset that the request asked for at least.
        absent_at: partition and offset up to which a 404 says that it is true; None where it does not say.
    """

    began: float
    ended: float
    reader: int
    user: bytes
    record_id: RecordId | None
    body: bytes
    asked: Mapping[int, int]
    absent_at: RecordId | None = None


class Written(NamedTuple):
    """One record of a user: its offset and value, None if it deletes."""

    offset: int
    value: bytes | None


@dataclass(frozen=True)
class History:
    """All that was written about one user, by offset, in one partition."""

    partition: int
    written: list[Written]

    def find_violation(self, given: Observation, since: int) -> str | None:
        """Return why a response is impossible; None if it is possible.

        Args:
            given: the answer.
            since: offset of the partition that the reader held for certain; -1 where none is known.
        """
        if given.absent_at is not None:
            return self._find_false_absence(given.absent_at, since)
        held = [one for one in self.written if one.offset <= since]
        if given.record_id is None:
            absent = not held or held[-1].value is None
            return None if absent or self._gone_after(since) is not None else f"404 though it held {held[-1]}"
        partition, offset = given.record_id
        if Written(offset, given.body) not in self.written or partition != self.partition:
            return "the topic has no such record at this place"
        if held and offset < held[-1].offset:
            return f"older than what it held: {held[-1]}"
        return None

    def _find_false_absence(self, absent_at: RecordId, since: int) -> str | None:
        """Return why a user cannot have been absent at an offset; None where it was."""
        partition, offset = absent_at
        if self.written and partition != self.partition:
            return "the topic has no record of this user in this partition"
        if offset < since:
            return f"404 as of an older offset than what it held: {since}"
        held = [one for one in self.written if one.offset <= offset]
        return None if not held or held[-1].value is None else f"404 though there was {held[-1]}"

    def known_offset(self, given: Observation, since: int) -> int:
        """Return the offset that the reader held for certain when it gave a possible response."""
        stated = given.record_id or given.absent_at
        if stated is not None:
            return max(since, stated[1])
        held = [one for one in self.written if one.offset <= since]
        gone = self._gone_after(since)
        return gone if held and held[-1].value is not None and gone is not None else since

    def _gone_after(self, since: int) -> int | None:
        return next((one.offset for one in self.written if one.offset > since and one.value is None), None)


NEVER_WRITTEN = History(-1, [])


def find_violations(histories: Mapping[bytes, History], answers: Iterable[Observation]) -> list[str]:
    """Return what is wrong with responses, as messages.

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
        history = histories.get(given.user, NEVER_WRITTEN)
        partition = history.partition if given.absent_at is None else given.absent_at[0]
        reader = given.reader, partition
        since = max(held.get(reader, -1), given.asked.get(partition, -1))
        reason = history.find_violation(given, since)
        if reason is None:
            heapq.heappush(given_so_far, (given.ended, reader, history.known_offset(given, since)))
        else:
            wrong.append(f"{given}: {reason}")
    return wrong
