"""The users that this process may answer for: those of its parts, while it is sure that nobody else owns them.

A part is a partition of the internal topic. What is read is committed: a store is written after the commit in Kafka.
Knows neither the engine nor what is stored.
"""

import threading
from collections.abc import Callable, Mapping
from math import inf
from typing import NamedTuple, TypeAlias

from joiner.queries.lease import HANDOVER_SECONDS, RENEW_SECONDS, lasts
from shared.clock import Moment

ReadStore: TypeAlias = Callable[[bytes], bytes | None]
"""Returns what a part's store holds under a key."""


class Refusal(NamedTuple):
    """Why nothing is answered now.

    Args:
        state: one word for programs.
        reason: for people.
    """

    state: str
    reason: str


class Stored(NamedTuple):
    """What a store held under a key: None is nothing."""

    value: bytes | None


STARTING = Refusal("starting", "this joiner has just been started")
REBALANCING = Refusal("rebalancing", "the joiners of the group share the work anew")
RESTORING = Refusal("restoring", "this joiner has been given partitions, and restores what belongs to them")
TAKING_OVER = Refusal(
    "rebalancing", f"a joiner answers {HANDOVER_SECONDS:g} s after it was given partitions: until then others may"
)
BUILDING = Refusal("building", "not all that the sources held when the build began is joined yet")
UNCONFIRMED = Refusal("unconfirmed", "Kafka has not confirmed lately that this joiner still owns its partitions")


class HeldParts:
    """The parts of this process.

    The loop writes, the threads of requests read. The lock keeps a store from being closed while it is read, and so
    each answer belongs to one assignment from its beginning to its end.

    Args:
        now: returns the time.
    """

    def __init__(self, now: Callable[[], Moment] = Moment.now) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._refusal: Refusal | None = STARTING
        self._stores: Mapping[int, ReadStore] = {}
        self._is_joined: Callable[[int], bool] = lambda _: False
        self._assigned_at = inf
        self._confirmed: Moment | None = None

    def assign(self) -> None:
        """Note that partitions were assigned; none can be read yet."""
        self._close(RESTORING)
        self._assigned_at = self._now().monotonic

    def open(self, stores: Mapping[int, ReadStore], is_joined: Callable[[int], bool]) -> None:
        """Have the parts of the present assignment read, once they are restored.

        Args:
            stores: part -> reads its store, from any thread, until `release` or `assign` returns.
            is_joined: whether all that the sources held when a build began is joined in a part.
        """
        with self._lock:
            self._stores, self._is_joined, self._refusal = stores, is_joined, None

    def release(self) -> None:
        """Have nothing read any more: another process may own the parts at once."""
        self._close(REBALANCING)

    def _close(self, refusal: Refusal) -> None:
        with self._lock:
            self._stores, self._refusal, self._confirmed, self._assigned_at = {}, refusal, None, inf

    def confirm(self, since: Moment) -> None:
        """Note that a commit has succeeded.

        Args:
            since: a moment before the commit.
        """
        self._confirmed = since

    def needs_confirmation(self) -> bool:
        """Return whether to commit for nothing but to know that the parts are still held."""
        if not self._stores:
            return False
        return self._confirmed is None or self._now().monotonic - self._confirmed.monotonic >= RENEW_SECONDS

    @property
    def refusal(self) -> Refusal | None:
        """Why this process knows of no part at all; None if it does."""
        if self._refusal is None and self._now().monotonic - self._assigned_at < HANDOVER_SECONDS:
            return TAKING_OVER
        return self._refusal

    def find(self, part: int, key: bytes) -> Stored | Refusal | None:
        """Return what is stored of a user; None if the user's part is not this process's."""
        with self._lock:
            refusal, read = self.refusal, self._stores.get(part)
            if refusal is not None or read is None:
                return refusal
            if not self._is_joined(part):
                return BUILDING
            found = Stored(read(key))
            # Last: this process may have been paused at any line above.
            return found if self._is_confirmed else UNCONFIRMED

    @property
    def _is_confirmed(self) -> bool:
        return self._confirmed is not None and lasts(self._confirmed, self._now())

    def list_served(self) -> list[int]:
        """Return the parts whose users this process answers for now."""
        with self._lock:
            if self.refusal is not None or not self._is_confirmed:
                return []
            return sorted(part for part in self._stores if self._is_joined(part))
