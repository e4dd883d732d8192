"""A closed loop: a fixed number of connections, each asking again as soon as it is answered. It finds the capacity.

wrk does it where it is installed. Elsewhere a loop of our own does (`python -m bench.load.closed_loop`, a JSON object
in, another out), which may itself limit a fast server: the load's share of its core, reported with each figure, shows
it.
"""

import gc
import json
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
from array import array
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.errors import MeasurementError
from bench.load.connection import Connection, build_request
from bench.load.cores import pinned_to
from bench.load.keys import draw_ids
from bench.load.statistics import Durations, summarize_durations

DRAWN = 200_000
SCRIPT = Path(__file__).with_suffix(".lua")


@dataclass(frozen=True, slots=True)
class ClosedLoad:
    """What to ask for.

    Args:
        port: of 127.0.0.1.
        connections: how many requests are on their way at any moment.
        seconds: for how long.
        users: how many users there are.
    """

    port: int
    connections: int
    seconds: float
    users: int


@dataclass(frozen=True, slots=True)
class Capacity:
    """What came of a closed loop.

    Args:
        rate: answers a second.
        latency: of each answer, in ms.
        not_found: share of answers that were 404, or another error of the server's.
        failed: requests without an answer.
        load_busy: share of its core that the load took: near 1, the load may be what was measured.
        generator: which program asked.
    """

    rate: float
    latency: Durations
    not_found: float
    failed: int
    load_busy: float
    generator: str


def measure_capacity(load: ClosedLoad, core: int) -> Capacity:
    """Run a load on one core.

    Raises:
        MeasurementError: it could not be run.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    generator, run = ("wrk", _run_wrk) if shutil.which("wrk") else ("a loop of our own", _run_own_loop)
    with pinned_to(frozenset({core})):
        found = run(load)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Capacity(
        rate=found["answered"] / found["seconds"],
        latency=Durations(*(found[name] for name in ("p50", "p95", "p99", "p999", "max"))),
        not_found=found["notFound"] / max(found["answered"], 1),
        failed=found["failed"],
        load_busy=found.get("busy", spent) / found["seconds"],
        generator=generator,
    )


def _run_wrk(load: ClosedLoad) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("w", suffix=".ids") as ids:
        ids.write("".join(f"{user_id}\n" for user_id in draw_ids(load.users, DRAWN)))
        ids.flush()
        options = ("-t1", f"-c{load.connections}", f"-d{max(1, round(load.seconds))}s", "--timeout", "10s")
        command = ["wrk", *options, "-s", str(SCRIPT), f"http://127.0.0.1:{load.port}", "--", ids.name]
        return _run_generator(command, None)


def _run_own_loop(load: ClosedLoad) -> dict[str, Any]:
    return _run_generator([sys.executable, "-m", "bench.load.closed_loop"], json.dumps(asdict(load)))


def _run_generator(command: list[str], given: str | None) -> dict[str, Any]:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        raise MeasurementError(
            f"{' '.join(command[:3])} failed with status {done.returncode}: {done.stderr or done.stdout}"
        )
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def run_closed_loop(load: ClosedLoad) -> dict[str, Any]:
    """Run the loop of our own, and return what wrk's script would say."""
    requests = [build_request(user_id) for user_id in draw_ids(load.users, DRAWN)]
    latency_ms, statuses, sent = array("d"), [0, 0], 0
    waiting = {
        connection.fileno(): connection for connection in (Connection(load.port) for _ in range(load.connections))
    }
    asked_at = dict.fromkeys(waiting, 0.0)
    ready = select.epoll()
    began, spent = time.monotonic(), time.process_time()

    def ask(number: int, connection: Connection) -> None:
        nonlocal sent
        asked_at[number] = time.monotonic()
        connection.send(requests[sent % len(requests)], sent)
        sent += 1

    for number, connection in waiting.items():
        ready.register(number, select.EPOLLIN)
        ask(number, connection)
    while (now := time.monotonic()) < began + load.seconds:
        for number, _ in ready.poll(1.0):
            answer = waiting[number].receive()
            if answer is not None:
                latency_ms.append(1000 * (time.monotonic() - asked_at[number]))
                statuses[answer.status != 200] += 1
                ask(number, waiting[number])
    return {
        "answered": sum(statuses),
        "seconds": now - began,
        "notFound": statuses[1],
        "failed": 0,
        "busy": time.process_time() - spent,
        **asdict(summarize_durations(latency_ms)),
    }


if __name__ == "__main__":
    gc.disable()
    json.dump(run_closed_loop(ClosedLoad(**json.load(sys.stdin))), sys.stdout)
