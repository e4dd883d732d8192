"""Tables that go on changing, and for each user every value that SQL has had: what may be shown, and in which order.

A count's changes come through partitions that are read in any order. So that no order leads to a value that SQL never
had, each user's counts only rise or only fall between two moments of quiet: half of the users gain rows, the others
lose them, and at each turn they change places. Safe to be judged by while changes are made by one other thread.
"""

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from bench.build.clients import Record
from bench.joiner.topics import Topics
from bench.joiner.workload import (
    COUNT_KEYS,
    FOLLOWERS,
    FOLLOWING,
    LIKES,
    TWEETS,
    Row,
    build_producer,
    follow_row,
    like_row,
    tweet_row,
    user_row,
)

FIELDS = ("username", *COUNT_KEYS)
OWNED = {"tweets": (TWEETS,), "follows": (FOLLOWING, FOLLOWERS), "likes": (LIKES,)}
"""Table -> the counts that its owners have of it."""

MAKERS: Mapping[str, Callable[..., Row]] = {"tweets": tweet_row, "follows": follow_row, "likes": like_row}

Place = tuple[str, int]
"""A row: its table, and its number."""


class ChangingTables:
    """Rows of the four tables.

    Args:
        topics: of the Kafka that has them.
        rows: how many there are to begin with.
        seed: draws them, and all changes.
    """

    shares: ClassVar[dict[str, float]] = {"users": 0.5, "tweets": 0.2, "follows": 0.2, "likes": 0.1}

    def __init__(self, topics: Topics, rows: int, seed: int) -> None:
        self.users = 2 * round(rows * self.shares["users"] / 2)
        self.history: dict[int, tuple[list[object], ...]] = {
            user: tuple([None if field == FIELDS[0] else 0] for field in FIELDS) for user in range(1, self.users + 1)
        }
        """User -> for each of FIELDS every value that it has had; a username of None: there is no such user."""
        self.made = 0
        """How many changes were made."""
        self._topics = topics
        self._producer = build_producer(topics.bootstrap_servers)
        self._chance = random.Random(seed)
        self._numbers = itertools.count(1)
        self._owners: dict[Place, tuple[int, ...]] = {}
        self._places: list[Place] = []
        self._forgotten: set[int] = set()
        self._turn = 0
        for user in self.history:
            self._name(user, f"user{user}")
        for table, counts in OWNED.items():
            for _ in range(round(rows * self.shares[table])):
                self._own((table, next(self._numbers)), [self._chance.randint(1, self.users) for _ in counts])
        self.flush()

    def change(self) -> None:
        """Make one change: rows come, move and go, some are sent twice; users are renamed, go and come back."""
        self.made += 1
        kind, chance = self._chance.random(), self._chance
        place = chance.choice(self._places)
        owners = self._owners[place]
        losing = [owner for owner in owners if not self._gains(owner)]
        if kind < 0.3:
            table = chance.choice(list(OWNED))
            self._own((table, next(self._numbers)), [self._draw_gaining() for _ in OWNED[table]])
        elif kind < 0.5 and len(losing) == len(owners):
            self._delete(place)
        elif kind < 0.85:
            self._own(place, [self._draw_gaining() if owner in losing else owner for owner in owners])
        else:
            user = chance.randint(1, self.users)
            exists = self.history[user][0][-1] is not None
            if user not in self._forgotten:
                self._name(user, None if exists and kind > 0.97 else f"name{self.made}")

    def turn(self, seed: int) -> None:
        """Let those who gained rows lose them from now on, and the others gain; everything so far is shown.

        Args:
            seed: draws the changes from now on.
        """
        self._turn += 1
        self._chance = random.Random(seed)

    def forget(self, users: int) -> list[int]:
        """Delete users so that nothing in their topic tells of it, as after compaction and an outage; return who.

        No joiner may run. They never come back; half of as many again are deleted by a tombstone.

        Args:
            users: how many leave no trace.
        """
        candidates = [user for user, (names, *_) in self.history.items() if names[-1] is not None]
        chosen = self._chance.sample(candidates, users + users // 2)
        self._forgotten.update(chosen)
        for user in chosen[:users]:
            self.history[user][0].append(None)
        self._topics.purge("users")
        for user, (names, *_) in self.history.items():
            if names[-1] is not None:
                self._send(user_row(user, str(names[-1])))
        for user in chosen[users:]:
            self._name(user, None)
        self.flush()
        return chosen

    def flush(self) -> None:
        """Wait until all that was written has arrived."""
        self._producer.flush()

    def wants(self, user: int, record: Record | None) -> bool:
        """Return whether a record, or none, is what SQL answers now."""
        newest = [values[-1] for values in self.history[user]]
        return newest[0] is None if record is None else [record[key] for key in FIELDS] == newest

    def _gains(self, user: int) -> bool:
        return (user + self._turn) % 2 == 0

    def _draw_gaining(self) -> int:
        # Squared, so that some users are popular.
        user = 1 + int(self.users * self._chance.random() ** 2)
        return user if self._gains(user) else user % self.users + 1

    def _name(self, user: int, name: str | None) -> None:
        self.history[user][0].append(name)
        topic, key, value = user_row(user, str(name))
        self._send((topic, key, value) if name is not None else (topic, key, None))

    def _own(self, place: Place, owners: list[int]) -> None:
        """Write a row."""
        table, number = place
        before = self._owners.get(place, ())
        if not before:
            self._places.append(place)
        self._owners[place] = tuple(owners)
        self._count(table, before, owners)
        self._send(MAKERS[table](number, *owners))

    def _delete(self, place: Place) -> None:
        table, number = place
        at = self._places.index(place)
        self._places[at] = self._places[-1]
        self._places.pop()
        self._count(table, self._owners.pop(place), ())
        for _ in range(self._chance.choice((1, 2))):
            self._send((table, b"%d" % number, None))

    def _count(self, table: str, before: Sequence[int], after: Sequence[int]) -> None:
        """Note what each owner's count has become, before the row is sent: it may be shown at once."""
        for at, count in enumerate(OWNED[table]):
            old, new = before[at] if before else None, after[at] if after else None
            if old == new:
                continue
            for owner, difference in ((old, -1), (new, 1)):
                if owner is not None:
                    values = self.history[owner][1 + count]
                    values.append(int(str(values[-1])) + difference)

    def _send(self, row: tuple[str, bytes, bytes | None]) -> None:
        topic, key, value = row
        while True:
            try:
                self._producer.produce(topic, value, key)
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(0.1)


class HistoryJudge:
    """Says whether what one reader shows is what SQL had at some moment, and no earlier one than it has shown before.

    Args:
        history: user -> for each of FIELDS every value that SQL has had, to which others are added; all of those that
            are in it now have been shown, so that nothing earlier may be.
    """

    def __init__(self, history: Mapping[int, Sequence[list[object]]]) -> None:
        self._history = history
        self._shown = {user: [len(values) - 1 for values in each] for user, each in history.items()}

    def __call__(self, user: int, record: Record | None) -> str | None:
        """Return what is wrong with a record, or with there being none; None: nothing."""
        history, shown = self._history[user], self._shown[user]
        values = [None] if record is None else [record[key] for key in FIELDS]
        for at, value in enumerate(values):
            try:
                # The earliest moment that it may be from leaves most room to what is shown later.
                shown[at] = history[at].index(value, shown[at])
            except ValueError:
                return f"{FIELDS[at]} {value} after {history[at][shown[at]]}, where SQL had {history[at][-5:]} last"
        return None
