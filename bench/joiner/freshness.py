"""Freshness: how long a change takes from the source topic to a read-committed consumer of user-info.

Changes are made on a clock and counted from the moment that they were meant for, however late the generator was. Users
take turns, so that each change is distinguished from the next one of the same user by the value that it leads to.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson

from bench.joiner.topic_watcher import TopicWatcher
from bench.joiner.workload import (
    COUNT_KEYS,
    FOLLOWING,
    LIKES,
    TWEETS,
    Row,
    Workload,
    build_producer,
    follow_row,
    like_row,
    tweet_row,
    user_row,
)
from bench.results import ProgressPrinter, percentile

NAME = "name"

GRACE_SECONDS = 20.0
"""A change that is not seen this long after the last one counts as never seen."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change and how to recognise it.

    Args:
        row: what to write.
        user: whose record shows it.
        key: of the record's field that shows it.
        value: that the field then has; later ones of the same user and field are larger.
    """

    row: Row
    user: int
    key: str
    value: int

    def is_shown_by(self, record: Mapping[str, Any]) -> bool:
        """Say whether a record shows it, or one that came after it."""
        return parse_number(record[self.key]) >= self.value


def parse_number(value: int | str) -> int:
    """Return a count, or the number of the change in a name that this measurement gave; -1 for other names."""
    if isinstance(value, int):
        return value
    return int(value.removeprefix(NAME)) if value.startswith(NAME) else -1


def generate_changes(workload: Workload) -> Iterator[Change]:
    """Yield changes for ever: users take turns; each turn it is another table's.

    Args:
        workload: whose rows have been written; its counts are kept.
    """
    users, numbers = workload.users, count(workload.rows + 1)
    for turn, number in enumerate(numbers):
        round_number, place = divmod(turn, users)
        user = place + 1
        counts = workload.counts[user]
        kind = (place + round_number) % 4
        if kind == 0:
            yield Change(user_row(user, f"{NAME}{number}"), user, "username", number)
            continue
        which, row = (
            (TWEETS, tweet_row(number, user)),
            (FOLLOWING, follow_row(number, user, user % users + 1)),
            (LIKES, like_row(number, user)),
        )[kind - 1]
        counts[which] += 1
        yield Change(row, user, COUNT_KEYS[which], counts[which])


@dataclass
class Freshness:
    """What was measured.

    Args:
        rate: changes a second that were asked for.
        seconds: for how long.
        made: changes that were made.
        late_seconds: the most that the generator was behind its clock.
        latencies: seconds of each change that was seen.
    """

    rate: int
    seconds: float
    made: int = 0
    late_seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def to_row(self) -> dict[str, object]:
        """Return a row of a table."""
        named = {f"p{p:g} s": round(percentile(self.latencies, p), 3) for p in (50, 95, 99)}
        return {
            "changes/s": self.rate,
            "changes": self.made,
            "never seen": self.made - len(self.latencies),
            **named,
            "max s": round(max(self.latencies), 3),
            "generator late s": round(self.late_seconds, 3),
        }


class PendingChanges:
    """Changes under way, by user. Safe to use from several threads.

    Args:
        latencies: takes seconds of each change that was seen.
    """

    def __init__(self, latencies: list[float]) -> None:
        self._latencies = latencies
        self._lock = threading.Lock()
        self._waiting: dict[bytes, list[tuple[Change, float]]] = {}

    def add(self, change: Change, meant_for: float) -> None:
        """Note a change, and the time.monotonic() that it was meant for."""
        with self._lock:
            self._waiting.setdefault(b"%d" % change.user, []).append((change, meant_for))

    def match(self, key: bytes, value: bytes | None, now: float) -> None:
        """Note which changes a record shows; `TopicWatcher` calls it."""
        with self._lock:
            waiting = self._waiting.get(key)
            if not waiting or value is None:
                return
            record = orjson.loads(value)
            left = []
            for change, meant_for in waiting:
                if change.is_shown_by(record):
                    self._latencies.append(now - meant_for)
                else:
                    left.append((change, meant_for))
            self._waiting[key] = left

    def is_empty(self) -> bool:
        """Return whether all have been seen."""
        with self._lock:
            return not any(self._waiting.values())


def measure_freshness(
    found: Freshness, bootstrap_servers: str, output: str, source: Iterator[Change], progress: ProgressPrinter
) -> None:
    """Make changes on a clock and time each until it is seen.

    Args:
        found: rate and length; takes what is measured.
        bootstrap_servers: where Kafka is; a joiner runs there and is caught up.
        output: the topic of user-info records.
        source: what to change.
        progress: shows how far it is.
    """
    rate, seconds = found.rate, found.seconds
    pending = PendingChanges(found.latencies)
    client = build_producer(bootstrap_servers, **{"linger.ms": 1})
    with TopicWatcher(bootstrap_servers, output, pending.match, from_now=True) as watcher:
        began = time.monotonic() + 1.0
        for number in range(int(rate * seconds)):
            meant_for = began + number / rate
            now = time.monotonic()
            if meant_for > now:
                time.sleep(meant_for - now)
            else:
                found.late_seconds = max(found.late_seconds, now - meant_for)
            change = next(source)
            pending.add(change, meant_for)
            topic, key, value = change.row
            client.produce(topic, value, key)
            client.poll(0)
            found.made += 1
            if number % rate == 0:
                progress(f"{rate:,} changes/s: {number // rate} of {seconds:g} s, {len(found.latencies):,} seen")
        client.flush()
        watcher.await_true(pending.is_empty, GRACE_SECONDS)
