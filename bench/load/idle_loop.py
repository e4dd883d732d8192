"""An idle loop during a measurement, which notes when it was not woken in time on its core.

No program on that core could have avoided what it sees: the machine was elsewhere. It runs before all ordinary
processes where the system allows it, so that the measured program itself is not what it sees. Runs as a process of its
own (`python -m bench.load.idle_loop CORE`) until SIGTERM, and writes a JSON object.
"""

import gc
import json
import os
import signal
import sys
import time

from bench.load.cores import go_first

PERIOD_SECONDS = 0.001
WORTH_NOTING_SECONDS = 0.001
PRIORITY = 30


def record_gaps(core: int) -> dict[str, object]:
    """Sleep and note oversleeping until SIGTERM; return the gaps as [began, seconds], by the monotonic clock.

    Args:
        core: where to sleep.
    """
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    os.sched_setaffinity(0, {core})
    went_first = go_first(PRIORITY)
    gc.disable()
    gaps = []
    awake = time.monotonic()
    while not stopped:
        time.sleep(PERIOD_SECONDS)
        now = time.monotonic()
        if now - awake > PERIOD_SECONDS + WORTH_NOTING_SECONDS:
            gaps.append([awake, round(now - awake - PERIOD_SECONDS, 6)])
        awake = now
    return {"core": core, "wentFirst": went_first, "gaps": gaps}


if __name__ == "__main__":
    json.dump(record_gaps(int(sys.argv[1])), sys.stdout)
