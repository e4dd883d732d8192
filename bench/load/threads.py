"""What the threads of a process did, moment by moment: ran, waited for the core, or slept, by the kernel's counts.

It explains a slow response: an event loop that ran all the time was busy, one that waited for its core had a
competitor, one that slept waited for the interpreter or the disk. Runs as a process of its own (`python -m
bench.load.threads PID`) until SIGTERM, and writes a JSON array of samples.
"""

import json
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PERIOD_SECONDS = 0.005


class Sample(NamedTuple):
    """What had happened by a moment.

    Args:
        at: the moment, by the monotonic clock.
        ran: seconds that the main thread, the event loop's, had been running.
        waited: seconds that it had been ready to run and had no core.
        others: seconds that all other threads had been running.
    """

    at: float
    ran: float
    waited: float
    others: float


def take_sample(pid: int) -> Sample:
    """Take one sample of a process."""
    main, others = (0, 0), 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread may have ended meanwhile
            ran, waited, _ = map(int, (task / "schedstat").read_bytes().split())
            if int(task.name) == pid:
                main = ran, waited
            else:
                others += ran
    return Sample(time.monotonic(), main[0] / 1e9, main[1] / 1e9, others / 1e9)


def compute_difference(samples: list[Sample], begin: float, end: float) -> Sample | None:
    """Return what happened from the last sample before a moment to the first after another; None without samples.

    Args:
        samples: in order.
        begin: a moment.
        end: a later one.
    """
    before = [one for one in samples if one.at <= begin][-1:]
    after = [one for one in samples if one.at >= end][:1]
    if not before or not after:
        return None
    return Sample(*(late - early for early, late in zip(before[0], after[0], strict=True)))


def record_samples(pid: int) -> list[Sample]:
    """Take samples until SIGTERM."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    samples = []
    while not stopped:
        with suppress(OSError):
            samples.append(take_sample(pid))
        time.sleep(PERIOD_SECONDS)
    return samples


if __name__ == "__main__":
    json.dump(record_samples(int(sys.argv[1])), sys.stdout)
