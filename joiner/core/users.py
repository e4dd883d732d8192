"""The join: what a row's change does to its owners, and what a user's changes do to that user's record.

Stage 1 turns rows into changes of users (`diff_owners`, `Changes`). Stage 2 applies those to a user's state
(`apply_change`) and renders the record (`render_record`). Sums commute, so any order of rows that Kafka allows ends in
the same state; the versions of a profile come in the order of its own row. Pure: no Kafka, no Quix, no clock, no I/O.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import orjson

from joiner.core.rows import Values, fits
from shared.records import COUNT_KEYS, PROFILE_COLUMNS, Counts, Profile, Table
from shared.unavailable import UNAVAILABLE

Unchanged: TypeAlias = Literal[False]
UNCHANGED: Final = False
"""In place of a profile: the change does not concern it. None: the user's row is gone."""

UNTIMED: Final = 2**53 - 1
"""In place of a time that is not known: later than any time, so that any known one comes before it."""

NO_COUNTS: Counts = (0, 0, 0, 0)


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
    whole = tuple(
        ((known[index] if known is not None else None) if value == UNAVAILABLE else value)
        for index, value in enumerate(values)
    )
    return whole if fits(whole) else resolve_unavailable(values, None)


def diff_owners(table: Table, old: Values | None, new: Values | None) -> Iterator[tuple[str, int, int]]:
    """Yield what a row's change does to counts: new owners minus old owners.

    Args:
        table: whose row it is.
        old: the row's owners so far; None: the row is not known.
        new: its owners now; None: the row is gone.

    Yields:
        (user id, index in COUNT_KEYS, difference); nothing for an owner who stays.
    """
    for position, count_index in enumerate(table.counts):
        before = old[position] if old is not None else None
        after = new[position] if new is not None else None
        if before != after:
            if before is not None:
                yield before, count_index, -1
            if after is not None:
                yield after, count_index, 1


@dataclass(slots=True)
class UserChange:
    """What a checkpoint's rows change for one user.

    Args:
        counts: four differences, in the order of COUNT_KEYS.
        profile: the new profile; None: the user's row is gone; UNCHANGED: the user's row is not concerned.
        newest_ms: source time of the newest of the changes, epoch ms.
        oldest_ms: source time of the oldest of them; UNTIMED if none is known.
    """

    counts: list[int]
    profile: Profile | Unchanged | None
    newest_ms: int
    oldest_ms: int

    @property
    def is_empty(self) -> bool:
        """True if the changes cancelled each other out."""
        return self.profile is UNCHANGED and not any(self.counts)

    def to_entry(self, user_id: str) -> list[Any]:
        """Return the change as it travels in `user-info-changes`: a JSON array; `parse_entry` reads it."""
        return [user_id, self.newest_ms, self.oldest_ms, self.counts, self.profile]


def parse_entry(entry: list[Any]) -> tuple[str, UserChange]:
    """Return the user id and the change that `UserChange.to_entry` wrote."""
    user_id, newest_ms, oldest_ms, counts, profile = entry
    return user_id, UserChange(counts, tuple(profile) if isinstance(profile, list) else profile, newest_ms, oldest_ms)


def make_request_entry(user_id: str, time_ms: int) -> list[Any]:
    """Return an entry that requests a user's record: it changes nothing, and has the record or its tombstone written.

    Args:
        user_id: whose record.
        time_ms: the record's time if nothing is known of the user.
    """
    return [user_id, time_ms, time_ms, list(NO_COUNTS), True]


def is_request_entry(entry: list[Any]) -> bool:
    """Return whether `make_request_entry` made an entry."""
    return entry[4] is True


class Changes(dict[str, UserChange]):
    """User id -> the sum of a checkpoint's changes for that user."""

    def _of(self, user_id: str, source_ms: int, since_ms: int) -> UserChange:
        change = self.get(user_id)
        if change is None:
            change = self[user_id] = UserChange([0, 0, 0, 0], UNCHANGED, source_ms, since_ms)
            return change
        # A call of max or min costs more than all else here.
        if source_ms > change.newest_ms:  # noqa: PLR1730
            change.newest_ms = source_ms
        if since_ms < change.oldest_ms:  # noqa: PLR1730
            change.oldest_ms = since_ms
        return change

    def count(
        self, user_id: str, count_index: int, difference: int, source_ms: int, since_ms: int | None = None
    ) -> None:
        """Add a difference to one count of a user.

        Args:
            user_id: whose.
            count_index: into COUNT_KEYS.
            difference: to add.
            source_ms: source time of the change.
            since_ms: since when the change has been waiting; UNTIMED if that is not known, None: since source_ms.
        """
        self._of(user_id, source_ms, source_ms if since_ms is None else since_ms).counts[count_index] += difference

    def set_profile(self, user_id: str, profile: Profile | None, source_ms: int, since_ms: int | None = None) -> None:
        """Note a user's new profile, or with None that the user's row is gone; the times are those of `count`."""
        change = self._of(user_id, source_ms, source_ms if since_ms is None else since_ms)
        if profile is not None and change.profile is not UNCHANGED:
            profile = resolve_unavailable(profile, change.profile)
        change.profile = profile


class UserState(NamedTuple):
    """What is known of one user.

    Args:
        profile: the fields in PROFILE_COLUMNS' order; None: the user has no row.
        counts: the four counts; rows may arrive before their user and outlive it.
        newest_ms: source time of the newest change so far.
        waiting_ms: source time of the oldest change that no record has shown yet; UNTIMED if none is known, None
            if all are shown.
    """

    profile: Profile | None = None
    counts: Counts = NO_COUNTS
    newest_ms: int = 0
    waiting_ms: int | None = None

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to remember."""
        return self.profile is None and self.counts == NO_COUNTS


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
    a, b, c, d = change.counts
    w, x, y, z = state.counts
    return UserState(profile, (w + a, x + b, y + c, z + d), max(state.newest_ms, change.newest_ms), waiting_ms)


def differs(before: UserState, after: UserState) -> bool:
    """Return whether clients could see a difference between two states."""
    if before.profile is None and after.profile is None:
        return False
    return before.profile != after.profile or before.counts != after.counts


def mark_shown(state: UserState) -> UserState:
    """Return the state after its record was written: no change of it waits any more."""
    return state._replace(waiting_ms=None)


_KEYS = ("userId", *PROFILE_COLUMNS.values(), *COUNT_KEYS)


def render_record(user_id: str, state: UserState) -> bytes | None:
    """Return the user's record, exactly as it is served; None: there is no such user."""
    if state.profile is None:
        return None
    return orjson.dumps(dict(zip(_KEYS, (user_id, *state.profile, *state.counts), strict=True)))


def encode_state(state: UserState) -> bytes:
    """Return a state as it is stored: a JSON array, which the engine cannot mistake for a timestamp."""
    return orjson.dumps([state.profile, state.counts, state.newest_ms, state.waiting_ms])


def decode_state(stored: bytes | None) -> UserState:
    """Return the state that `encode_state` wrote; EMPTY_STATE for None."""
    if stored is None:
        return EMPTY_STATE
    profile, (a, b, c, d), newest_ms, waiting_ms = orjson.loads(stored)
    return UserState(tuple(profile) if profile is not None else None, (a, b, c, d), newest_ms, waiting_ms)
