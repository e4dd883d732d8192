"""Throughput: how soon programs that do the joiner's job bring a million rows behind up to date, and at what cost.

Each run starts on the same rows with topics and state of its own, and counts from the start of its processes until the
last commit that made its output the truth. Only the output's offsets are read during a run.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from bench.joiner import processes
from bench.joiner.backlog import Backlog
from stack.servers.process import Command


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


class Race:
    """Runs of joiners and of a peer on the same rows.

    Args:
        backlog: the rows.
        folder: for state and logs.
    """

    def __init__(self, backlog: Backlog, folder: Path) -> None:
        self._backlog = backlog
        self._settings = backlog.workload.settings
        if backlog.workload.view is not None:
            file = folder / "view.toml"
            file.write_text(backlog.workload.view)
            self._settings["USER_INFO_VIEW"] = str(file)
        self._kafka = backlog.kafka
        self._topics = backlog.topics
        self._folder = folder
        self._runs = 0

    def run_joiners(self, count: int, progress: Callable[[str], None]) -> Run:
        """Run so many joiners with default settings."""

        def commands(prefix: str) -> list[Command]:
            address = self._kafka.bootstrap_servers
            return [
                processes.joiner_command(number, address, prefix, self._folder, **self._settings)
                for number in range(count)
            ]

        return self._run("joiner", count, commands, progress)

    def run_peer(self, template: str, threads: int, progress: Callable[[str], None]) -> Run:
        """Run a peer with so many threads."""

        def commands(prefix: str) -> list[Command]:
            values = {
                "bootstrap": self._kafka.bootstrap_servers,
                "threads": str(threads),
                "output": f"{prefix}user-info",
            }
            return [processes.peer_command(template, values, self._folder / f"{prefix}peer")]

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
        broker = processes.read_usage(self._kafka.command)
        started = time.monotonic()
        try:
            for command in ours:
                processes.start(command)
            say = partial(_show_prefixed, progress, f"{program} x {count}")
            arrival = self._backlog.await_truth(output, ours, say)
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

    def _written(self, output: str, made: set[str]) -> dict[str, int]:
        changelogs = {name for name in made if "changelog" in name}
        return {
            "user-info": self._topics.ends([output]).high,
            "changelogs": self._topics.ends(changelogs).high,
            "internal": self._topics.ends(made - changelogs - {output}).high,
        }


def compute_medians(runs: list[Run], rows: int) -> list[dict[str, object]]:
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


def compute_ratios(runs: list[Run]) -> dict[int, float]:
    """Return number of processes -> how many times as fast the joiner is as the peer, by medians."""

    def seconds(program: str, count: int) -> list[float]:
        return [run.seconds for run in runs if (run.program, run.processes) == (program, count)]

    counts = sorted({run.processes for run in runs if run.program == "peer"})
    return {count: median(seconds("peer", count)) / median(seconds("joiner", count)) for count in counts}


def _show_prefixed(progress: Callable[[str], None], prefix: str, text: str) -> None:
    progress(f"{prefix}: {text}")
