"""A pass over many users: what memory the joiner takes for it, and how soon changes made meanwhile are seen.

A change of a user that the pass has written is written as ever; one of a user that it has not come to is written with
it. The two are counted apart. A first build is measured, then a rebuild, which also looks for users that are gone.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

from confluent_kafka import Producer

from bench.build.again import COMPLETE
from bench.chaos.fleet import Fleet
from bench.errors import MeasurementError
from bench.joiner.backlog import Backlog
from bench.joiner.freshness import GRACE_SECONDS, Change, PendingChanges, generate_changes
from bench.joiner.topic_watcher import TopicWatcher
from bench.joiner.workload import Workload, build_producer
from bench.results import ProgressPrinter, percentile
from bench.service.probes import RepeatedTask

PATIENCE_SECONDS = 300.0
SAMPLE_SECONDS = 0.1
OUTPUT = "user-info"


class Users(Workload):
    """Users without any rows of other tables."""

    shares: ClassVar[dict[str, float]] = {"users": 1.0, "tweets": 0.0, "follows": 0.0, "likes": 0.0}


class MemorySampler(RepeatedTask):
    """Notes how much memory a joiner has resident.

    Args:
        fleet: of the joiner, its only one.
    """

    def __init__(self, fleet: Fleet) -> None:
        super().__init__("memory", SAMPLE_SECONDS)
        self.samples: list[tuple[float, int]] = []
        """time.monotonic(), bytes."""
        self._fleet = fleet

    def run_once(self) -> None:
        """Note it once."""
        self.samples.append((time.monotonic(), self._fleet.process(0).memory_info().rss))

    def most(self, since: float, until: float) -> float:
        """Return the most within a time, MB."""
        return max((size for at, size in self.samples if since <= at <= until), default=0) / 1e6


class Pass:
    """One build, from the joiner's start; changes are made while users are written.

    Args:
        backlog: the sources.
        fleet: whose joiner 0 does not run, and begins a build.
        source: what to change.
        rate: changes a second.
    """

    def __init__(self, backlog: Backlog, fleet: Fleet, source: Iterator[Change], rate: float) -> None:
        self._backlog = backlog
        self._fleet = fleet
        self._source = source
        self._rate = rate
        self._written: set[bytes] = set()
        self._written_latencies: list[float] = []
        self._left_latencies: list[float] = []
        self._of_written = PendingChanges(self._written_latencies)
        self._of_left = PendingChanges(self._left_latencies)
        self._made = 0
        self._first_at = 0.0
        self._last_at = 0.0

    def run(self, name: str, progress: ProgressPrinter) -> dict[str, object]:
        """Return a row of a table, of the build so called."""
        servers, users = self._backlog.kafka.bootstrap_servers, self._backlog.workload.users
        client = build_producer(servers, **{"linger.ms": 1})
        built = self._count_built()
        with TopicWatcher(servers, OUTPUT, self._see, from_now=True) as watcher:
            self._fleet.start(0)
            with MemorySampler(self._fleet) as memory:
                self._await(lambda: bool(self._written), name, progress)
                began = time.monotonic()
                while len(self._written) < users:
                    self._change(client, began)
                    if self._made % self._rate == 0:
                        progress(f"{name}: {len(self._written):,} of {users:,} users written")
                client.flush()
                self._await(lambda: self._count_built() > built, name, progress)
                complete_at = time.monotonic()
                for pending in (self._of_written, self._of_left):
                    watcher.await_true(pending.is_empty, GRACE_SECONDS)
        seen = len(self._written_latencies) + len(self._left_latencies)
        return {
            "build": name,
            "users": users,
            "pass s": round(self._last_at - self._first_at, 1),
            "MB before": round(memory.most(0, self._first_at)),
            "most MB in the pass": round(memory.most(self._first_at, self._last_at)),
            "most MB behind it": round(memory.most(self._last_at, complete_at + 1)),
            "changes": self._made,
            "never seen": self._made - seen,
            **_describe("written", self._written_latencies),
            **_describe("left", self._left_latencies),
        }

    def _see(self, key: bytes, value: bytes | None, now: float) -> None:
        """Note a record; called in the watcher's thread."""
        self._first_at = self._first_at or now
        if key not in self._written:
            self._written.add(key)
            self._last_at = now
        self._of_written.match(key, value, now)
        self._of_left.match(key, value, now)

    def _change(self, client: Producer, began: float) -> None:
        meant_for = began + self._made / self._rate
        time.sleep(max(0.0, meant_for - time.monotonic()))
        change = next(self._source)
        pending = self._of_written if b"%d" % change.user in self._written else self._of_left
        pending.add(change, meant_for)
        topic, key, value = change.row
        client.produce(topic, value, key)
        client.poll(0)
        self._made += 1

    def _count_built(self) -> int:
        return sum(log.read_text(errors="replace").count(COMPLETE) for log in self._fleet.logs() if log.exists())

    def _await(self, condition: Callable[[], bool], name: str, progress: ProgressPrinter) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            progress(f"{name}: {len(self._written):,} users written")
            self._fleet.process(0)
            if time.monotonic() > deadline:
                raise MeasurementError(f"{name} does not go on; see {self._fleet.logs()[0]}")
            time.sleep(0.05)


def _describe(which: str, latencies: list[float]) -> dict[str, object]:
    named = {f"{which} p{p} s": round(percentile(latencies, p), 2) if latencies else "-" for p in (50, 95)}
    return {f"changes of {which}": len(latencies), **named, f"{which} max s": round(max(latencies, default=0), 2)}


def run_passes(backlog: Backlog, folder: Path, rate: float, progress: ProgressPrinter) -> list[dict[str, object]]:
    """Measure a first build and a rebuild; return a row of a table for each.

    Args:
        backlog: users, in the sources of a Kafka.
        folder: for state and logs.
        rate: changes a second while users are written.
        progress: shows how far it is.
    """
    backlog.topics.create_output(OUTPUT)
    fleet = Fleet(backlog.topics.admin, backlog.kafka.bootstrap_servers, folder)
    source = generate_changes(backlog.workload)
    try:
        rows = [Pass(backlog, fleet, source, rate).run("first build", progress)]
        fleet.stop(0)
        fleet.reset()
        rows.append(Pass(backlog, fleet, source, rate).run("rebuild", progress))
        return rows
    finally:
        fleet.kill_all()
