"""A joiner that answers for users: what that does to its freshness and its processor time, and how fast it answers."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.errors import MeasurementError
from bench.joiner.backlog import Backlog
from bench.joiner.freshness import Change, Freshness, measure_freshness
from bench.load.closed_loop import Capacity, ClosedLoad, measure_capacity
from bench.load.cores import choose_cores
from bench.load.open_loop import OpenLoad
from bench.load.process import LoadProcess
from bench.reader.services import reader_service
from bench.results import ProgressPrinter
from stack.servers.process import Command

CONNECTIONS = 16
SHOWN = ("p50", "p95", "p99", "max")
MORE_SECONDS = 5.0
"""How much longer the requests last than the changes beside them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A joiner under measurement.

    Args:
        backlog: its Kafka, with what it has joined.
        joiner: the process; it serves users.
        source: changes to write.
        seconds: how long each part takes.
    """

    backlog: Backlog
    joiner: Command
    source: Iterator[Change]
    seconds: float

    @property
    def port(self) -> int:
        """Where it answers."""
        return int(self.joiner.environment["JOINER_HTTP_PORT"])

    def _busy_seconds(self) -> float:
        process = self.joiner.find_process()
        if process is None:
            raise MeasurementError(f"the joiner ended: {self.joiner.read_last_lines()}")
        times = process.cpu_times()
        return float(times.user + times.system)

    def measure_beside(self, changes: int, requests: int, output: str, progress: ProgressPrinter) -> dict[str, object]:
        """Return a row of a table: freshness and processor time with so many changes and requests a second."""
        found = Freshness(changes, self.seconds)
        load = OpenLoad(self.port, requests, self.seconds + MORE_SECONDS, self.backlog.workload.users)
        with ExitStack() as parts:
            asking = None
            if requests:
                document = asdict(load)
                asking = parts.enter_context(
                    LoadProcess(choose_cores().load, "bench.load.open_loop", document=document)
                )
            before = self._busy_seconds()
            measure_freshness(found, self.backlog.kafka.bootstrap_servers, output, self.source, progress)
            busy = (self._busy_seconds() - before) / self.seconds
            answered = {} if asking is None else asking.result(load.seconds + 60)
        latency = {f"response {name} ms": answered["latencyMs"][name] if answered else "-" for name in SHOWN}
        failed = answered["failed"] + answered["wrong"] if answered else "-"
        busy_row = {"joiner's core": f"{busy:.0%}"}
        return {"requests/s": requests, **found.to_row(), **busy_row, **latency, "failed or wrong": failed}

    def measure_capacities(self, folder: Path, output: str) -> list[dict[str, object]]:
        """Return rows of a table: how many requests a second it answers, and then a reader of the same topic."""
        load = ClosedLoad(self.port, CONNECTIONS, self.seconds, self.backlog.workload.users)
        cores = choose_cores()
        alone = measure_capacity(load, cores.load)
        reader = reader_service(folder, self.backlog.kafka.bootstrap_servers, output)
        try:
            reader.start(cores)
            beside = measure_capacity(replace(load, port=reader.port), cores.load)
        finally:
            reader.command.stop()
        return [_to_row("joiner", alone), _to_row("reader", beside)]


def _to_row(program: str, found: Capacity) -> dict[str, object]:
    latency = {f"{name} ms": round(getattr(found.latency, name), 2) for name in SHOWN}
    rest = {"other than 200": f"{found.not_found:.1%}", "failed": found.failed, "load's core": f"{found.load_busy:.0%}"}
    return {"program": program, "requests/s": round(found.rate), **latency, **rest}
