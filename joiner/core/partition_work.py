"""One partition's store as one checkpoint sees it: what was read from it, and what is to be written.

Renders the records of changed users, and of those that a build's pass has come to. Knows neither Quix nor Kafka.
"""

from collections.abc import Iterator
from typing import Protocol

import orjson

from joiner.core.build import STORED_KEY, Build, PartBuild, decode_part
from joiner.core.chain import FOLLOWED_KEY, SENT_KEY, FollowedChains, decode_followed
from joiner.core.columns import Values
from joiner.core.plan import Plan
from joiner.core.records import OutputRecord
from joiner.core.users import UNTIMED, UserState, decode_state, differs, encode_state, mark_shown, render_record

APPLIED_OFFSET_KEY = b"\xffapplied"
"""Stored next to the users' states: the next internal offset to apply. No user id in UTF-8 begins with this byte."""


class Store(Protocol):
    """State of one partition, as the engine keeps it."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value stored under a key."""

    def set(self, key: bytes, value: bytes | None) -> None:
        """Store a value, or with None delete the key."""

    def read_behind(self, key: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return what is stored under the ids behind a key, in their order, at most so many."""


class PartitionWork:
    """What a checkpoint holds of one partition.

    Args:
        store: the partition's.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.rows: dict[str, Values | None] = {}
        self.users: dict[str, tuple[UserState, UserState]] = {}
        self.requested: dict[str, int] = {}
        self.next_offset: int | None = None
        self.chains = FollowedChains({})
        self.again_before = 0
        """Changes before this offset may have been shown by a checkpoint of which Kafka has kept the records alone."""
        self.writes_all = False
        self.build: PartBuild | None = None
        """How far the build is in a partition of the internal topic; None in any other, and where there is none."""
        self._build_moved = False
        self._sent: list[int] | None = None

    def find_row(self, row_id: str) -> Values | None:
        """Return what is known of a row; None: nothing, or it is gone."""
        if row_id in self.rows:
            return self.rows[row_id]
        stored = self.store.get(row_id.encode())
        return None if stored is None else tuple(orjson.loads(stored))

    def count_pack(self, target: int, partitions: int) -> int:
        """Return the number of the next pack that these rows lead to.

        Args:
            target: the internal partition that it is sent to.
            partitions: how many there are.
        """
        if self._sent is None:
            stored = self.store.get(SENT_KEY)
            self._sent = [0] * partitions if stored is None else orjson.loads(stored)
        self._sent[target] += 1
        return self._sent[target]

    def open_changes(self, where: str) -> int:
        """Return the next internal offset to apply.

        Args:
            where: the record that is about to be applied, for people.

        Raises:
            StateError: only a part of a checkpoint's states is stored.
        """
        if self.next_offset is None:
            stored = self.store.get(APPLIED_OFFSET_KEY)
            applied = None if stored is None else int(orjson.loads(stored))
            self.chains = decode_followed(self.store.get(FOLLOWED_KEY), applied, where)
            self.next_offset = applied or 0
        return self.next_offset

    def open_build(self, build: Build) -> PartBuild:
        """Return how far a build is in this partition."""
        if self.build is None:
            self.build = decode_part(self.store.get(STORED_KEY), build.id)
        return self.build

    def move_build(self, part: PartBuild) -> None:
        """Note how far the build is; it is stored, changed or not."""
        self._build_moved, self.build = True, part

    def render_changes(self, plan: Plan) -> Iterator[OutputRecord]:
        """Yield the record of each user of whom clients see a difference, or whose record is requested."""
        part = self.build
        for user_id, (before, after) in self.users.items():
            if part is not None and part.phase != "whole" and not part.shows(user_id.encode()):
                continue
            if differs(before, after) or self.writes_all or user_id in self.requested:
                yield _render(plan, user_id, after, after.newest_ms or self.requested[user_id])

    def render_pass(self, plan: Plan, build: Build, limit: int) -> Iterator[OutputRecord]:
        """Yield the records of the next users of a build's pass, as they are after the checkpoint.

        Args:
            plan: the view's.
            build: the group's.
            limit: how many users.
        """
        part = self.open_build(build)
        stored = dict(self.store.read_behind(part.cursor.encode(), limit))
        last = max(stored) if len(stored) == limit else None
        passed = part.pass_users(last, takes_back=bool(build.user_info_ends))
        for key, value in stored.items():
            user_id = key.decode()
            _, state = self.users.get(user_id) or (None, decode_state(value))
            if state.profile is not None:
                yield _render(plan, user_id, state, state.newest_ms)
        for user_id, (_, state) in self.users.items():
            key = user_id.encode()
            if state.profile is not None and key not in stored and passed.shows(key) and not part.shows(key):
                yield _render(plan, user_id, state, state.newest_ms)
        self.move_build(passed)

    def save(self) -> None:
        """Hand the new states to the store, each key once; the first and the last say whether all of them are there."""
        store = self.store
        if self.next_offset is not None:
            store.set(FOLLOWED_KEY, self.chains.encode(self.next_offset))
        for row_id, row in self.rows.items():
            known = row is not None and row.count(None) < len(row)
            store.set(row_id.encode(), orjson.dumps(row) if known else None)
        for user_id, (before, after) in self.users.items():
            # A change that a build leaves to its pass counts as shown as well: how long it waits is no single change's.
            state = mark_shown(after) if after.profile is not None or differs(before, after) else after
            store.set(user_id.encode(), None if state.is_empty else encode_state(state))
        if self.build is not None and self._build_moved:
            store.set(STORED_KEY, self.build.encode())
        if self._sent is not None:
            store.set(SENT_KEY, orjson.dumps(self._sent))
        if self.next_offset is not None:
            store.set(APPLIED_OFFSET_KEY, orjson.dumps(self.next_offset))


def _render(plan: Plan, user_id: str, state: UserState, newest_ms: int) -> OutputRecord:
    oldest_ms = None if state.waiting_ms == UNTIMED else state.waiting_ms
    return OutputRecord(user_id.encode(), render_record(plan, user_id, state), newest_ms, oldest_ms)
