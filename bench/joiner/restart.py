"""Restart: how soon a joiner with a million rows of state shows a change, its state on disk, or only in Kafka."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import httpx
import orjson

from bench.disk import measure_folder, measure_topics
from bench.errors import MeasurementError
from bench.joiner import processes
from bench.joiner.backlog import Backlog
from bench.joiner.freshness import Change
from bench.joiner.topic_watcher import TopicWatcher
from bench.joiner.topics import Topics
from bench.joiner.workload import build_producer
from stack.servers.process import Command

CHANGES = 400
"""Made at the start, a hundred for each table: enough that each partition of each topic gets some."""

PATIENCE_SECONDS = 300.0
TRIM_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Restart:
    """What one start took.

    Args:
        state: where the state was.
        first_seconds: from the process's start until the first change made at that moment was seen.
        all_seconds: until all of them were.
        restoring_seconds: for how long it called itself restoring.
        changelog_records: how many records the changelogs held.
        cpu_seconds: of the process until all were seen.
    """

    state: str
    first_seconds: float
    all_seconds: float
    restoring_seconds: float
    changelog_records: int
    cpu_seconds: float

    def to_row(self) -> dict[str, object]:
        """Return a row of a table."""
        rate = self.changelog_records / self.restoring_seconds if self.restoring_seconds > 0.5 else 0
        return {
            "state": self.state,
            "first change s": round(self.first_seconds, 1),
            "all changes s": round(self.all_seconds, 1),
            "restoring s": round(self.restoring_seconds, 1),
            "changelog records": self.changelog_records,
            "records/s": round(rate) if rate else "-",
            "CPU s": round(self.cpu_seconds, 1),
        }


def measure_restart(topics: Topics, output: str, joiner: Command, source: Iterator[Change], state: str) -> Restart:
    """Make changes, start a joiner that does not run, and time it.

    Args:
        topics: of its Kafka.
        output: its topic of user-info records.
        joiner: ended, caught up before.
        source: what to change.
        state: where its state is, as the table calls it.

    Raises:
        MeasurementError: it has ended, or changes are not seen in time.
    """
    wanted = list(islice(source, CHANGES))
    changelogs = [name for name in topics.names() if name.startswith("changelog")]
    held = topics.ends(changelogs)
    with TopicWatcher(topics.bootstrap_servers, output, from_now=True) as watcher:
        client = build_producer(topics.bootstrap_servers)
        for change in wanted:
            topic, key, value = change.row
            client.produce(topic, value, key)
        client.flush()
        began = time.monotonic()
        processes.start(joiner)
        restoring = _RestoringTimer(joiner)
        first = _await(watcher, lambda: any(_is_seen(watcher, change) for change in wanted), joiner, restoring) - began
        complete = (
            _await(watcher, lambda: all(_is_seen(watcher, change) for change in wanted), joiner, restoring) - began
        )
    cpu = processes.read_usage(joiner).cpu_seconds
    return Restart(state, first, complete, restoring.seconds, held.high - held.low, cpu)


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What the internal topic still holds once its records are consumed.

    Args:
        written: offsets that have gone through it.
        kept: those that it still holds.
        seconds: from the moment when all was consumed until it held that little.
    """

    written: int
    kept: int
    seconds: float


def await_trim(topics: Topics, internal: str) -> Trimmed:
    """Wait until the internal topic holds less than a hundredth of what went through it, or for TRIM_SECONDS.

    Args:
        topics: of its Kafka.
        internal: the topic; all of it is consumed.
    """
    began = time.monotonic()
    while True:
        ends = topics.ends([internal])
        waited = time.monotonic() - began
        if (ends.high - ends.low) * 100 < ends.high or waited > TRIM_SECONDS:
            return Trimmed(ends.high, ends.high - ends.low, waited)
        time.sleep(0.5)


def measure_disk(backlog: Backlog, joiner: Command) -> dict[str, int]:
    """Return what is kept of the rows, in bytes: by the joiner itself, and by a broker in one replica of each topic."""
    return {
        "state": measure_folder(Path(joiner.environment["JOINER_STATE_DIR"])),
        "changelogs": measure_topics(backlog.kafka, "changelog"),
        "sources": sum(measure_topics(backlog.kafka, table) for table in backlog.workload.shares),
    }


def delete_state(joiner: Command) -> None:
    """Delete what a joiner that does not run has on disk."""
    shutil.rmtree(Path(joiner.environment["JOINER_STATE_DIR"]))


class _RestoringTimer:
    """Polls a joiner's state, and adds up for how long it is restoring."""

    def __init__(self, joiner: Command) -> None:
        self.seconds = 0.0
        self._url = f"http://127.0.0.1:{joiner.environment['JOINER_HTTP_PORT']}/readyz"
        self._since: float | None = None

    def poll(self) -> None:
        now = time.monotonic()
        try:
            state = httpx.get(self._url, timeout=5).json()["state"]
        except httpx.TransportError:
            return
        if self._since is not None:
            self.seconds += now - self._since
        self._since = now if state == "restoring" else None


def _await(watcher: TopicWatcher, condition: Callable[[], bool], joiner: Command, restoring: _RestoringTimer) -> float:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not watcher.await_true(condition, 0.05):
        restoring.poll()
        processes.require_running(joiner)
        if time.monotonic() > deadline:
            raise MeasurementError(f"changes were not seen within {PATIENCE_SECONDS:g} s; {joiner.read_last_lines()}")
    return time.monotonic()


def _is_seen(watcher: TopicWatcher, change: Change) -> bool:
    value = watcher.latest.get(b"%d" % change.user)
    return value is not None and change.is_shown_by(orjson.loads(value))
