"""Which processor core does what, and which program runs first on it: what is measured has a core to itself."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.errors import MeasurementError


class Cores(NamedTuple):
    """Which core runs what.

    Args:
        measured: the one core of the program that is measured.
        load: the one core of the load generator.
        rest: where databases and Kafka run; the load generator's core on a machine with two.
    """

    measured: int
    load: int
    rest: frozenset[int]


def choose_cores() -> Cores:
    """Share out the cores that this process may use.

    Raises:
        MeasurementError: there is only one.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise MeasurementError(
            "a measurement needs two processor cores, one of them for the load; this process may use one",
            hint="run it on a larger machine, or allow it more cores (taskset)",
        )
    return Cores(cores[0], cores[1], frozenset(cores[2:] or cores[1:2]))


@contextmanager
def pinned_to(cores: frozenset[int]) -> Iterator[None]:
    """Have processes that are started meanwhile run on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(pid: int, cores: frozenset[int]) -> None:
    """Move a running process, all its threads and its children to these cores."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it may have ended meanwhile
            os.sched_setaffinity(int(task.name), cores)
            for child in (task / "children").read_text().split():
                pin(int(child), cores)


def read_busy_seconds(core: int) -> float:
    """Return for how long a core has been running anything, or was taken from this machine, since the start."""
    times = psutil.cpu_times(percpu=True)[core]
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def go_first(priority: int) -> bool:
    """Have this process run whenever it can, before all ordinary ones; return whether the system allows it."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except PermissionError:
        return False
    return True
