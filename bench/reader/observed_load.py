"""An open loop at a service, observed: idle loops on both cores and samples of its threads explain what was slow."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

from bench.load.cores import Cores, read_busy_seconds
from bench.load.open_loop import OpenLoad
from bench.load.process import LoadProcess
from bench.load.threads import Sample
from bench.reader.services import Service
from bench.reader.stalls import explain_stalls

WARM_SECONDS = 2.0
POLL_SECONDS = 0.1


def run_observed(
    service: Service, load: OpenLoad, cores: Cores, until: Callable[[], bool] | None = None
) -> dict[str, Any]:
    """Run a load against a running service, and return its report with its stalls explained.

    Args:
        service: which one.
        load: what to ask of it.
        cores: which core runs what.
        until: ends the load when it is true; None: the load runs for its time, after a short one to warm up.

    Raises:
        MeasurementError: a part of the measurement failed.
    """
    with ExitStack() as parts:
        running = parts.enter_context(
            LoadProcess(cores.load, "bench.load.open_loop", document=asdict(load), is_held=True)
        )
        on_reader = parts.enter_context(LoadProcess(cores.load, "bench.load.idle_loop", str(cores.measured)))
        on_load = parts.enter_context(LoadProcess(cores.load, "bench.load.idle_loop", str(cores.load)))
        threads = parts.enter_context(LoadProcess(cores.load, "bench.load.threads", str(service.pid)))
        if until is None:
            _warm_up(load, cores)
        before, core_before, began = service.cpu_seconds(), read_busy_seconds(cores.measured), time.monotonic()
        running.release()
        result = running.result(load.seconds + 60) if until is None else _run_until(running, until)
        seconds = time.monotonic() - began
        busy = (service.cpu_seconds() - before) / seconds
        taken = (read_busy_seconds(cores.measured) - core_before) / seconds - busy
        result |= {"seconds": seconds, "busy": busy, "taken": max(0.0, taken)}
        gaps, load_gaps = on_reader.stop(), on_load.stop()
        samples = [Sample(*one) for one in threads.stop()]
    why = explain_stalls(result.pop("outliers"), gaps["gaps"], load_gaps["gaps"], samples)
    return {**result, "idleLoopFirst": gaps["wentFirst"], "stalls": [stall.report() for stall in why]}


def _warm_up(load: OpenLoad, cores: Cores) -> None:
    with LoadProcess(cores.load, "bench.load.open_loop", document=asdict(replace(load, seconds=WARM_SECONDS))) as warm:
        warm.result()


def _run_until(running: LoadProcess, until: Callable[[], bool]) -> dict[str, Any]:
    while running.running and not until():
        time.sleep(POLL_SECONDS)
    result: dict[str, Any] = running.stop()
    return result
