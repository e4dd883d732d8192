"""Chaos: joiners under steady changes, faults drawn at random, every user compared with the truth after each.

Guarantees that a difference, or a change that never becomes visible, is reported with the seed that led to it. The
same seed draws the same faults; their timing on the machine differs.
"""

import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import click

from bench import results
from bench.chaos.faults import Targets, draw_faults
from bench.chaos.fleet import Fleet
from bench.chaos.tables import Load, Record, Tables
from bench.errors import MeasurementError
from bench.joiner.topic_watcher import TopicWatcher
from bench.joiner.topics import Topics
from bench.joiner.workload import SHARES
from bench.results import ProgressPrinter, percentile
from stack.servers.kafka import Kafka

PARTITIONS = 4
PATIENCE_SECONDS = 90.0
"""A change that is not seen within this time counts as lost."""

TICK_SECONDS = 0.25


@dataclass
class Report:
    """What happened.

    Args:
        seed: drew the faults.
        faults: how many there were.
        fresh_seconds: step of a fault -> the longest, in seconds, that changes made since its action took to be seen.
        differing: users that differed from the truth in quiet, over all comparisons.
        compared: users compared, over all comparisons.
        dead_letters: how many there are; as many as bad records were written, where all is well.
        poison_written: bad records that were written.
        ended_by_themselves: the last log line of each joiner that ended although nothing stopped it.
    """

    seed: int
    faults: int = 0
    fresh_seconds: dict[str, list[float]] = field(default_factory=dict)
    differing: int = 0
    compared: int = 0
    dead_letters: int = 0
    poison_written: int = 0
    ended_by_themselves: list[str] = field(default_factory=list)

    def steps(self) -> list[dict[str, object]]:
        """Return one row of a table for each step: how often, and seconds until fresh."""
        return [
            {
                "fault": step,
                "count": len(seconds),
                "to fresh p50 s": round(percentile(seconds, 50), 2),
                "p95 s": round(percentile(seconds, 95), 2),
                "max s": round(max(seconds), 2),
            }
            for step, seconds in sorted(self.fresh_seconds.items())
        ]


class Chaos:
    """One run.

    Args:
        kafka: running; of this run alone, since it is killed.
        folder: for the joiners' state and logs.
        seed: draws changes, faults and victims.
        rate: changes a second while faults happen.
        progress: shows what happens.
    """

    def __init__(self, kafka: Kafka, folder: Path, seed: int, rate: float, progress: Callable[[str], None]) -> None:
        topics = Topics(kafka.bootstrap_servers)
        topics.create_sources(SHARES, PARTITIONS)
        topics.create_output("user-info")
        chance = random.Random(seed)
        self.report = Report(seed)
        self._topics = topics
        self._progress = progress
        self._fleet = Fleet(topics.admin, kafka.bootstrap_servers, folder)
        self._tables = Tables(kafka.bootstrap_servers, random.Random(seed + 1))
        self._targets = Targets(kafka, self._fleet, self._tables, chance)
        self._faults = draw_faults(chance)
        self._load = Load(self._tables, rate)
        self._watcher = TopicWatcher(kafka.bootstrap_servers, "user-info")

    def run(self, faults: int, seconds: float) -> Report:
        """Let so many faults happen, or as many as the time allows.

        Raises:
            MeasurementError: a user differs, or a change was not seen in time; carries seed and fault.
        """
        deadline = time.monotonic() + seconds
        try:
            with self._watcher:
                self._load.start()
                for number in (0, 1):
                    self._fleet.start(number)
                self._compare("the start")
                while self.report.faults < faults and time.monotonic() < deadline:
                    self._run_fault()
            self._compare_topic()
        finally:
            self._load.stop()
            self._fleet.kill_all()
            self.report.ended_by_themselves = self._fleet.ended_by_themselves
        return self.report

    def _run_fault(self) -> None:
        fault = next(self._faults)
        self.report.faults += 1
        self._load.resume()
        for step, action in fault(self._targets):
            fresh = self._measure_freshness(step, action)
            self.report.fresh_seconds.setdefault(step, []).append(fresh)
            self._progress(f"fault {self.report.faults}: {step}: fresh after {fresh:.1f} s")
        self._compare(fault.__name__)

    def _measure_freshness(self, step: str, action: Callable[[], None]) -> float:
        """Return the longest that changes took to be seen, from the action until the group has settled after it."""
        deadline = time.monotonic() + 2 * PATIENCE_SECONDS
        longest, began, settled = 0.0, time.monotonic(), False
        action()
        while not settled:
            wanted = self._tables.probe()
            self._await(partial(self._shows, wanted), f"changes made after: {step}")
            longest = max(longest, time.monotonic() - began)
            self._fleet.supervise()
            if time.monotonic() > deadline:
                raise MeasurementError(self._describe_failure(f"every joiner at work after: {step}"))
            settled, began = self._fleet.is_settled(), time.monotonic()
        return longest

    def _compare(self, after: str) -> None:
        """Wait for quiet and compare every user with the truth."""
        self._load.pause()
        self._tables.flush()
        truth = self._tables.truth()
        self._await(partial(self._shows, truth, nothing_else=True), f"the truth after: {after}")
        self.report.compared += len(truth)

    def _compare_topic(self) -> None:
        """Read the topic from its beginning, compare once more, and count the dead letters."""
        truth, found = self._tables.truth(), self._topics.read("user-info")
        self.report.differing += _count_differences(truth, found)
        self.report.poison_written = self._tables.poison_written
        self.report.dead_letters = self._topics.count("dead-letters")

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._watcher.await_true(condition, TICK_SECONDS):
            self._fleet.supervise()
            if time.monotonic() > deadline:
                raise MeasurementError(self._describe_failure(what))

    def _shows(self, wanted: Mapping[bytes, Record], *, nothing_else: bool = False) -> bool:
        latest = self._watcher.latest
        if nothing_else and len(latest) != len(wanted):
            return False
        return all(_equals(record, latest.get(user)) for user, record in wanted.items())

    def _describe_failure(self, what: str) -> str:
        truth, found = self._tables.truth(), self._watcher.latest
        wrong = [user for user in truth.keys() | found.keys() if not _equals(truth.get(user), found.get(user))]
        logs = "\n".join(f"{log}:\n{log.read_text(errors='replace')[-3000:]}" for log in self._fleet.logs())
        examples = "\n".join(f"  {truth.get(user)}\n  {found.get(user)!r}" for user in sorted(wrong)[:3])
        return (
            f"seed {self.report.seed}, fault {self.report.faults}: not seen within {PATIENCE_SECONDS:g} s: {what};"
            f" {len(wrong)} users differ, such as (truth first):\n{examples}\n{logs}"
        )


def _count_differences(truth: Mapping[bytes, Record], found: Mapping[bytes, bytes | None]) -> int:
    return sum(not _equals(truth.get(user), found.get(user)) for user in truth.keys() | found.keys())


def _equals(record: Record | None, value: bytes | None) -> bool:
    return record == (None if value is None else json.loads(value))


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    """Give a folder for data and logs; it is deleted afterwards, except where its logs explain a failure."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        yield folder
    except Exception:
        click.echo(f"Kafka's data and all logs are kept in {folder}", err=True)
        raise
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder)


@click.command()
@click.option("--faults", default=100, show_default=True, help="How many faults.")
@click.option("--minutes", default=45.0, show_default=True, help="End after so long, however many there were.")
@click.option("--seed", type=int, help="Draws the same faults again; drawn and shown where not given.")
@click.option("--rate", default=200.0, show_default=True, help="Changes a second while faults happen.")
def chaos(faults: int, minutes: float, seed: int | None, rate: float) -> None:
    """Keep two joiners under steady changes and random faults, and compare every user with the truth after each."""
    if seed is None:
        seed = random.SystemRandom().randrange(10**6)
    progress = ProgressPrinter()
    progress(f"seed {seed}", last=True)
    with _scratch_folder() as folder, Kafka(folder / "kafka") as kafka:
        run = Chaos(kafka, folder, seed, rate, lambda text: progress(text, last=True))
        try:
            report = run.run(faults, minutes * 60)
        finally:
            found = run.report
            click.echo(
                f"{results.describe_machine()}; seed {seed}, {found.faults} faults\n\n{results.to_table(found.steps())}"
            )
            click.echo(
                f"\n{results.write_results(Path('.local/bench'), 'chaos', {**vars(found), 'steps': found.steps()})}"
            )
        click.echo(
            f"{report.compared:,} comparisons of a user with the truth, {report.differing} differed;"
            f" {report.dead_letters} dead letters of {report.poison_written} bad records"
        )
        if report.differing or report.dead_letters != report.poison_written:
            raise MeasurementError(f"what was written is not the truth; seed {seed}")
