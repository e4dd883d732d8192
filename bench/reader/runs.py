"""The single measurements: capacity in turns, latency at a rate, while updates flow, and during a replay."""

import shutil
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from bench.errors import MeasurementError
from bench.load.closed_loop import Capacity, ClosedLoad, measure_capacity
from bench.load.cores import read_busy_seconds
from bench.load.open_loop import OpenLoad
from bench.load.process import LoadProcess
from bench.reader import services
from bench.reader.observed_load import run_observed
from bench.reader.services import Service, get, read_readiness
from bench.reader.testbed import REPLAYED, TOPIC, Testbed
from bench.reader.updates import Updates

CONNECTIONS = 16
WARM_SECONDS = 2.0
ARRIVAL_SECONDS = 30.0
REPLAY_SECONDS = 600.0

Result = dict[str, Any]

Turn = tuple[Capacity, float, float]
"""What a closed loop got, and the shares of the measured core that the service took, and others."""


def measure_capacities(services: Sequence[Service], testbed: Testbed, rounds: int, seconds: float) -> list[Result]:
    """Measure what each service can do, in turns, so that a slow moment of the machine meets all of them."""
    found: dict[str, list[Turn]] = {service.name: [] for service in services}
    for service in services:
        measure_capacity(ClosedLoad(service.port, CONNECTIONS, WARM_SECONDS, testbed.users), testbed.cores.load)
    for turn in range(1, rounds + 1):
        for service in services:
            found[service.name].append(_measure_turn(service, testbed, seconds))
            capacity = found[service.name][-1][0]
            testbed.say(f"{service.name}: {capacity.rate:,.0f} requests/s (round {turn} of {rounds})")
    return [_choose_median(name, runs) for name, runs in found.items()]


def _measure_turn(service: Service, testbed: Testbed, seconds: float) -> Turn:
    load = ClosedLoad(service.port, CONNECTIONS, seconds, testbed.users)
    before, core_before, began = service.cpu_seconds(), read_busy_seconds(testbed.cores.measured), time.monotonic()
    capacity = measure_capacity(load, testbed.cores.load)
    passed = time.monotonic() - began
    spent = service.cpu_seconds() - before
    taken = read_busy_seconds(testbed.cores.measured) - core_before - spent
    return capacity, spent / seconds, max(0.0, taken / passed)


def _choose_median(name: str, turns: list[Turn]) -> Result:
    """Return the turn of the median rate."""
    median = statistics.median_low(turn[0].rate for turn in turns)
    capacity, busy, taken = next(turn for turn in turns if turn[0].rate == median)
    rates = [round(turn[0].rate) for turn in turns]
    shares = {"busy": busy, "taken": taken}
    return {"name": name, **asdict(capacity), "latency": capacity.latency.report(), **shares, "rates": rates}


def measure_latency(service: Service, testbed: Testbed, rate: float, seconds: float) -> Result:
    """Measure a service at a steady rate."""
    load = OpenLoad(service.port, rate, seconds, testbed.users, service.looks_up)
    result = run_observed(service, load, testbed.cores)
    testbed.say(f"{service.name}: {summarize(result)}")
    return {"name": service.name, **result}


def measure_latency_with_updates(
    service: Service, testbed: Testbed, rate: float, updates: float, seconds: float
) -> Result:
    """Measure the reader while updates flow through Kafka, and make sure that the last of them has arrived."""
    flowing = Updates(testbed.kafka.bootstrap_servers, TOPIC, updates, testbed.users)
    with LoadProcess(testbed.cores.load, "bench.reader.updates", document=asdict(flowing)) as source:
        time.sleep(WARM_SECONDS)
        load = OpenLoad(service.port, rate, seconds, testbed.users)
        result = run_observed(service, load, testbed.cores)
        written = source.stop()
    _await_body(service, written["lastUser"], written["lastBody"].encode())
    per_second = written["written"] / written["seconds"]
    testbed.say(f"{service.name}, {per_second:,.0f} updates/s: {summarize(result)}")
    return {"name": f"{service.name}, updates flowing", "updatesPerSecond": round(per_second), **result}


def measure_latency_in_replay(testbed: Testbed, records: int, rate: float, number: int) -> Result:
    """Measure a reader that serves what it has while it reads another topic from its beginning."""
    folder = testbed.folder / f"replaying-{number}"
    before = services.reader_service(folder, testbed.kafka.bootstrap_servers, TOPIC)
    before.start(testbed.cores)
    before.command.stop()
    service = services.reader_service(folder, testbed.kafka.bootstrap_servers, REPLAYED)
    load = OpenLoad(service.port, rate, REPLAY_SECONDS, testbed.users)
    with ExitStack() as parts:
        parts.callback(shutil.rmtree, folder)
        parts.callback(service.command.stop)
        service.start(testbed.cores)
        if read_readiness(service.port)["state"] != "stale":
            raise MeasurementError(
                "the replay was over before it could be measured", hint="replay more records (--records)"
            )
        result = run_observed(service, load, testbed.cores, lambda: read_readiness(service.port)["state"] == "ready")
    testbed.say(f"{service.name}, replaying {records:,} records: {summarize(result)}")
    return {"name": f"{service.name}, replaying {records:,} records", **result}


def summarize(result: Result) -> str:
    """Return a latency in one line."""
    shown = result["latencyMs"]
    return (
        f"p50 {shown['p50']:.2f}, p95 {shown['p95']:.2f}, p99 {shown['p99']:.2f}, p99.9 {shown['p999']:.2f},"
        f" max {shown['max']:.1f} ms, {result['over10Ms']} over 10 ms of {result['answered']:,},"
        f" {result['wrong']} wrong, {result['failed']} failed"
    )


def _await_body(service: Service, user_id: int, body: bytes) -> None:
    """Wait until the reader answers with the last update."""
    until = time.monotonic() + ARRIVAL_SECONDS
    while (found := get(service.port, f"/users/{user_id}")[1]) != body:
        if time.monotonic() > until:
            raise MeasurementError(
                f"the last update did not arrive in {ARRIVAL_SECONDS:.0f} s: {found!r}, not {body!r}"
            )
        time.sleep(0.05)
