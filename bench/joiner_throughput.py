"""Throughput: how soon programs that do the joiner's job bring a million rows behind up to date, and at what cost.

Each run starts on the same rows with topics and state of its own, and counts from the start of its processes until the
last commit that made its output the truth. The output is only measured by its offsets while a run goes on.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import processes
from bench.processes import Usage
from bench.results import Progress
from bench.topics import Topics, check_equal
from bench.workload import TABLES, Workload, write
from shared.errors import MeasurementError
from stack import java
from stack.kafka import Kafka
from stack.process import Command

LOOK_SECONDS = 0.1
SETTLED_SECONDS = 5.0
"""Output that has not moved for this long may be complete: it is compared then."""

PATIENCE_SECONDS = 60.0
"""Output that has not moved for this long will not move any more."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took.

    Args:
        program: ``joiner`` or ``peer``.
        processes: how many, or how many threads of the peer.
        seconds: from start to the commit that completed the output.
        first_seconds: from start to the first committed output.
        cpu_seconds: of the program's processes.
        broker_cpu_seconds: of Kafka's.
        peak_bytes: the most resident memory of any one process.
        written: kind of topic -> records in it, commit markers included.
    """

    program: str
    processes: int
    seconds: float
    first_seconds: float
    cpu_seconds: float
    broker_cpu_seconds: float
    peak_bytes: int
    written: Mapping[str, int]


@contextmanager
def loaded(folder: Path, workload: Workload, partitions: int, progress: Progress) -> Iterator[tuple[Kafka, Topics]]:
    """Give a Kafka of one's own whose source topics hold the workload; it is gone afterwards."""
    progress("starting Kafka")
    with Kafka(folder / "kafka", heap="1g", options=java.BUSY) as kafka:
        topics = Topics(kafka.bootstrap_servers)
        topics.create_sources(partitions)
        write(kafka.bootstrap_servers, workload, lambda done: progress(f"{done:,} of {workload.rows:,} rows written"))
        progress(f"{workload.rows:,} rows in {partitions} partitions of each source topic", last=True)
        yield kafka, topics
    shutil.rmtree(folder / "kafka")


class Race:
    """Runs of joiners and of a peer on the same rows.

    Args:
        kafka: holds the rows.
        topics: of that Kafka.
        workload: the rows; knows the truth.
        folder: for state and logs.
    """

    def __init__(self, kafka: Kafka, topics: Topics, workload: Workload, folder: Path) -> None:
        self._kafka = kafka
        self._topics = topics
        self._workload = workload
        self._folder = folder
        self._runs = 0

    def joiners(self, count: int, progress: Callable[[str], None]) -> Run:
        """Run so many joiners with default settings."""

        def commands(prefix: str) -> list[Command]:
            address = self._kafka.bootstrap_servers
            return [processes.joiner(number, address, prefix, self._folder) for number in range(count)]

        return self._run("joiner", count, commands, progress)

    def peer(self, template: str, threads: int, progress: Callable[[str], None]) -> Run:
        """Run a peer with so many threads."""

        def commands(prefix: str) -> list[Command]:
            values = {
                "bootstrap": self._kafka.bootstrap_servers,
                "threads": str(threads),
                "output": f"{prefix}user-info",
            }
            return [processes.peer(template, values, self._folder / f"{prefix}peer")]

        return self._run("peer", threads, commands, progress)

    def _run(
        self, program: str, count: int, commands: Callable[[str], list[Command]], progress: Callable[[str], None]
    ) -> Run:
        self._runs += 1
        prefix = f"run{self._runs}-"
        output = f"{prefix}user-info"
        self._topics.create_output(output)
        before = self._topics.names() - {output}
        ours = commands(prefix)
        broker = processes.usage(self._kafka.command)
        started = time.monotonic()
        try:
            for command in ours:
                processes.start(command)
            arrival = self._await_truth(output, ours, lambda text: progress(f"{program} x {count}: {text}"))
        finally:
            for command in ours:
                command.stop()
        made = self._topics.names() - before
        written = self._written(output, made)
        self._topics.delete(made)
        for command in ours:
            shutil.rmtree(command.folder)
        return Run(
            program,
            count,
            arrival.complete_at - started,
            arrival.first_at - started,
            arrival.usage.cpu_seconds,
            arrival.broker.cpu_seconds - broker.cpu_seconds,
            arrival.usage.peak_bytes,
            written,
        )

    def _await_truth(self, output: str, ours: list[Command], progress: Callable[[str], None]) -> "_Arrival":
        end, first_at, moved_at, looked_at = 0, 0.0, time.monotonic(), 0.0
        arrival: _Arrival | None = None
        while True:
            time.sleep(LOOK_SECONDS)
            now = time.monotonic()
            latest = self._topics.committed_end(output)
            used = processes.usage(*ours)
            if latest > end:
                first_at = first_at or now
                end, moved_at = latest, now
                arrival = _Arrival(first_at, now, used, processes.usage(self._kafka.command))
            progress(f"{latest:,} records out, {used.cpu_seconds:.0f} CPU s")
            if arrival is not None and now - moved_at > SETTLED_SECONDS and looked_at < moved_at:
                looked_at = now
                try:
                    check_equal(self._topics.read(output), self._workload.counts)
                except MeasurementError:
                    continue  # a pause, not the end
                return arrival
            if now - moved_at > PATIENCE_SECONDS:
                check_equal(self._topics.read(output), self._workload.counts)
                raise MeasurementError(f"the output was complete only after {SETTLED_SECONDS:g} s without a record")

    def _written(self, output: str, made: set[str]) -> dict[str, int]:
        changelogs = {name for name in made if "changelog" in name}
        return {
            "user-info": self._topics.ends([output]).high,
            "changelogs": self._topics.ends(changelogs).high,
            "internal": self._topics.ends(made - changelogs - {output}).high,
        }


@dataclass(frozen=True, slots=True)
class _Arrival:
    first_at: float
    complete_at: float
    usage: Usage
    broker: Usage


def medians(runs: list[Run], rows: int) -> list[dict[str, object]]:
    """Return one row of a table for each program and number of processes: medians of its runs.

    Args:
        runs: in any order.
        rows: of the workload.
    """
    groups: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.processes, run.program), []).append(run)
    return [
        {
            "program x processes": f"{program} x {count}",
            "runs": len(group),
            "rows/s": round(rows / median(run.seconds for run in group)),
            "seconds": round(median(run.seconds for run in group), 1),
            "first record s": round(median(run.first_seconds for run in group), 1),
            "CPU s": round(median(run.cpu_seconds for run in group), 1),
            "broker CPU s": round(median(run.broker_cpu_seconds for run in group), 1),
            "peak MB": round(median(run.peak_bytes for run in group) / 1e6),
            **{name: round(median(run.written[name] for run in group)) for name in group[0].written},
        }
        for (count, program), group in sorted(groups.items())
    ]


def ratios(runs: list[Run]) -> dict[int, float]:
    """Return number of processes -> how many times as fast the joiner is as the peer, by medians."""

    def seconds(program: str, count: int) -> list[float]:
        return [run.seconds for run in runs if (run.program, run.processes) == (program, count)]

    counts = sorted({run.processes for run in runs if run.program == "peer"})
    return {count: median(seconds("peer", count)) / median(seconds("joiner", count)) for count in counts}


def source_topics() -> str:
    """Return the names that a peer finds the rows under."""
    return ", ".join(TABLES)
