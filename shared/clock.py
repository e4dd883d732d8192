"""The wall clock, in the unit that Kafka and the topics use."""

import time

MAX_AHEAD_MS = 1_000
"""How far another machine's clock may be ahead before its times are not trusted: any delay up to that is hidden."""


def now_ms() -> int:
    """Return the time in epoch milliseconds."""
    return time.time_ns() // 1_000_000
