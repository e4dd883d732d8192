"""The join: what the changes of rows do to users, and what a user's changes do to that user's record.

Stage 1 sums what rows change for each user (`Changes`). Stage 2 applies those to a user's state
(`apply_change`) and renders the record (`render_record`). Sums commute, so any order of rows that Kafka allows ends in
the same state; the versions of a profile come in the order of its own row. Pure: no Kafka, no Quix, no clock, no I/O.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import add
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import orjson

from joiner.core.columns import Values, complete, fits
from joiner.core.plan import Plan
from shared.unavailable import UNAVAILABLE

Profile: TypeAlias = Values
"""The record's fields in their order; one may be UNAVAILABLE until the last known one replaces it."""

Aggregates: TypeAlias = tuple[int, ...]
"""The counts and sums in the view's order, each sum in units of its last place; () before the first change."""

Unchanged: TypeAlias = Literal[False]
UNCHANGED: Final = False
"""In place of a profile: the change does not concern it. None: the user's row is gone."""

UNTIMED: Final = 2**53 - 1
"""In place of a time that is not known: later than any time, so that any known one comes before it."""


def resolve_unavailable(values: Values, known: Values | None) -> Values:
    """Put the last known value where Debezium left one out, and null if none is known.

    Args:
        values: owners or profile fields; any may be UNAVAILABLE.
        known: the same row's values before, if it had any.

    Both versions of the row fit into a record, but new values together with those that were left out may not. Rather
    than stop the join, the values that were left out become null then, as if none were known.
    """
    if UNAVAILABLE not in values:
        return values
    whole = complete(values, known)
    return whole if fits(whole) else complete(values, None)


@dataclass(slots=True)
class UserChange:
    """What a checkpoint's rows change for one user.

    Args:
        aggregates: a difference for each count and sum, in the view's order.
        profile: the new profile; None: the user's row is gone; UNCHANGED: the user's row is not concerned.
        newest_ms: source time of the newest of the changes, epoch ms.
        oldest_ms: source time of the oldest of them; UNTIMED if none is known.
    """

    aggregates: list[int]
    profile: Profile | Unchanged | None
    newest_ms: int
    oldest_ms: int

    @property
    def is_empty(self) -> bool:
        """True if the changes cancelled each other out."""
        return self.profile is UNCHANGED and not any(self.aggregates)

    def encode(self, user_id: str) -> bytes:
        """Return the change as it travels in `user-info-changes`: a JSON array; `parse_entry` reads it."""
        try:
            return orjson.dumps([user_id, self.newest_ms, self.oldest_ms, self.aggregates, self.profile])
        except TypeError:
            large = _spell(self.aggregates)
            return orjson.dumps([user_id, self.newest_ms, self.oldest_ms, large, self.profile])


def _spell(aggregates: Iterable[int]) -> str:
    """Return numbers as text, since the JSON library writes none that takes more than 64 bits."""
    return " ".join(map(str, aggregates))


def parse_entry(entry: list[Any]) -> tuple[str, UserChange]:
    """Return the user id and the change that `UserChange.encode` wrote, out of its JSON."""
    user_id, newest_ms, oldest_ms, aggregates, profile = entry
    if isinstance(aggregates, str):
        aggregates = list(map(int, aggregates.split()))
    return user_id, UserChange(
        aggregates, tuple(profile) if isinstance(profile, list) else profile, newest_ms, oldest_ms
    )


def make_request_entry(user_id: str, time_ms: int) -> list[Any]:
    """Return an entry that requests a user's record: it changes nothing, and has the record or its tombstone written.

    Args:
        user_id: whose record.
        time_ms: the record's time if nothing is known of the user.
    """
    return [user_id, time_ms, time_ms, [0, 0, 0, 0], True]  # nobody reads the zeros


def is_request_entry(entry: list[Any]) -> bool:
    """Return whether `make_request_entry` made an entry."""
    return entry[4] is True


class Changes(dict[str, UserChange]):
    """User id -> the sum of a checkpoint's changes for that user.

    Args:
        aggregates: how many the record has.
    """

    def __init__(self, aggregates: int) -> None:
        super().__init__()
        self._nothing = [0] * aggregates

    def _of(self, user_id: str, source_ms: int, since_ms: int) -> UserChange:
        change = self.get(user_id)
        if change is None:
            change = self[user_id] = UserChange(self._nothing.copy(), UNCHANGED, source_ms, since_ms)
            return change
        # A call of max or min costs more than all else here.
        if source_ms > change.newest_ms:  # noqa: PLR1730
            change.newest_ms = source_ms
        if since_ms < change.oldest_ms:  # noqa: PLR1730
            change.oldest_ms = since_ms
        return change

    def add(self, user_id: str, aggregate: int, difference: int, source_ms: int, since_ms: int | None = None) -> None:
        """Add a difference to one count or sum of a user.

        Args:
            user_id: whose.
            aggregate: its position in the record.
            difference: to add.
            source_ms: source time of the change.
            since_ms: since when the change has been waiting; UNTIMED if that is not known, None: since source_ms.
        """
        self._of(user_id, source_ms, source_ms if since_ms is None else since_ms).aggregates[aggregate] += difference

    def set_profile(self, user_id: str, profile: Profile | None, source_ms: int, since_ms: int | None = None) -> None:
        """Note a user's new profile, or with None that the user's row is gone; the times are those of `add`."""
        change = self._of(user_id, source_ms, source_ms if since_ms is None else since_ms)
        if profile is not None and change.profile is not UNCHANGED:
            profile = resolve_unavailable(profile, change.profile)
        change.profile = profile


class UserState(NamedTuple):
    """What is known of one user.

    Args:
        profile: the record's fields; None: the user has no row.
        aggregates: the counts and sums; rows may arrive before their user and outlive it.
        newest_ms: source time of the newest change so far.
        waiting_ms: source time of the oldest change that no record has shown yet; UNTIMED if none is known, None
            if all are shown.
    """

    profile: Profile | None = None
    aggregates: Aggregates = ()
    newest_ms: int = 0
    waiting_ms: int | None = None

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to remember."""
        return self.profile is None and not any(self.aggregates)


EMPTY_STATE = UserState()


def apply_change(state: UserState, change: UserChange) -> UserState:
    """Return a user's state after a change; the change waits to be shown.

    Args:
        state: EMPTY_STATE if the user is not known.
        change: sums and profile, as `parse_entry` returns them.
    """
    profile = state.profile if change.profile is UNCHANGED else change.profile
    if change.profile:
        profile = resolve_unavailable(change.profile, state.profile)
    waiting_ms = change.oldest_ms if state.waiting_ms is None else min(state.waiting_ms, change.oldest_ms)
    aggregates = tuple(map(add, state.aggregates, change.aggregates)) if state.aggregates else tuple(change.aggregates)
    return UserState(profile, aggregates, max(state.newest_ms, change.newest_ms), waiting_ms)


def differs(before: UserState, after: UserState) -> bool:
    """Return whether clients could see a difference between two states."""
    if before.profile is None and after.profile is None:
        return False
    return before.profile != after.profile or before.aggregates != after.aggregates


def mark_shown(state: UserState) -> UserState:
    """Return the state after its record was written: no change of it waits any more."""
    return state._replace(waiting_ms=None)


def render_record(plan: Plan, user_id: str, state: UserState) -> bytes | None:
    """Return the user's record, exactly as it is served; None: there is no such user."""
    if state.profile is None:
        return None
    values: list[Any] = [user_id, *state.profile, *state.aggregates]
    for position, write in plan.writers:
        if values[position] is not None:
            values[position] = write(values[position])
    return orjson.dumps(dict(zip(plan.keys, values, strict=True)))


def encode_state(state: UserState) -> bytes:
    """Return a state as it is stored: a JSON array, which the engine cannot mistake for a timestamp."""
    try:
        return orjson.dumps([state.profile, state.aggregates, state.newest_ms, state.waiting_ms])
    except TypeError:
        return orjson.dumps([state.profile, _spell(state.aggregates), state.newest_ms, state.waiting_ms])


def decode_state(stored: bytes | None) -> UserState:
    """Return the state that `encode_state` wrote; EMPTY_STATE for None."""
    if stored is None:
        return EMPTY_STATE
    profile, aggregates, newest_ms, waiting_ms = orjson.loads(stored)
    if isinstance(aggregates, str):
        aggregates = map(int, aggregates.split())
    return UserState(tuple(profile) if profile is not None else None, tuple(aggregates), newest_ms, waiting_ms)
