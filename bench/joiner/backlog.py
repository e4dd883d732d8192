"""A backlog: a Kafka full of rows, and the wait until a program's output is the truth about them.

Meanwhile only the output's offsets are read, which costs next to nothing.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.errors import MeasurementError
from bench.joiner import processes
from bench.joiner.processes import Usage
from bench.joiner.topics import Topics, check_equal
from bench.joiner.workload import Workload, write_workload
from bench.results import ProgressPrinter
from stack.servers import java
from stack.servers.kafka import Kafka
from stack.servers.process import Command

POLL_SECONDS = 0.1
SETTLED_SECONDS = 5.0
"""Output that has not moved for this long may be complete: it is compared then."""

PATIENCE_SECONDS = 60.0
"""Output that has not moved for this long will not move any more."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """How programs came to have written the truth.

    Args:
        first_at: time.monotonic() of the first committed output.
        complete_at: of the commit that made it the truth.
        usage: of the programs, until then.
        broker: of Kafka, until then.
    """

    first_at: float
    complete_at: float
    usage: Usage
    broker: Usage


@dataclass(frozen=True, slots=True)
class Backlog:
    """Rows in a Kafka.

    Args:
        kafka: of this measurement alone.
        topics: of that Kafka.
        workload: the rows in its source topics; knows the truth about them.
    """

    kafka: Kafka
    topics: Topics
    workload: Workload

    def await_truth(self, output: str, programs: Sequence[Command], progress: Callable[[str], None]) -> Arrival:
        """Wait until an output is the truth.

        Args:
            output: the topic of user-info records.
            programs: what writes the output.
            progress: shows how far it is.

        Raises:
            MeasurementError: it has not moved for long and is not the truth, or a program has ended.
        """
        end, first_at, moved_at, compared_at = 0, 0.0, time.monotonic(), 0.0
        arrival: Arrival | None = None
        while True:
            time.sleep(POLL_SECONDS)
            now = time.monotonic()
            latest = self.topics.committed_end(output)
            used = processes.read_usage(*programs)
            if latest > end:
                first_at = first_at or now
                end, moved_at = latest, now
                arrival = Arrival(first_at, now, used, processes.read_usage(self.kafka.command))
            progress(f"{latest:,} records out, {used.cpu_seconds:.0f} CPU s")
            if arrival is not None and now - moved_at > SETTLED_SECONDS and compared_at < moved_at:
                compared_at = now
                try:
                    self._compare(output)
                except MeasurementError:
                    continue  # a pause, not the end
                return arrival
            if now - moved_at > PATIENCE_SECONDS:
                self._compare(output)
                raise MeasurementError(f"the output was complete only after {SETTLED_SECONDS:g} s without a record")

    def _compare(self, output: str) -> None:
        check_equal(self.topics.read(output), self.workload.keys, self.workload.counts)


@contextmanager
def run_backlog(folder: Path, workload: Workload, partitions: int, progress: ProgressPrinter) -> Iterator["Backlog"]:
    """Give a new Kafka whose source topics hold the workload; it is deleted afterwards."""
    progress("starting Kafka")
    with Kafka(folder / "kafka", heap="1g", options=java.BUSY) as kafka:
        topics = Topics(kafka.bootstrap_servers)
        topics.create_sources(workload.shares, partitions)
        write_workload(
            kafka.bootstrap_servers, workload, lambda done: progress(f"{done:,} of {workload.rows:,} rows written")
        )
        progress(f"{workload.rows:,} rows in {partitions} partitions of each source topic", last=True)
        yield Backlog(kafka, topics, workload)
    shutil.rmtree(folder / "kafka")
