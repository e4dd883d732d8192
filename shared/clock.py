"""The wall clock, in the unit that Kafka and the topics use."""

import time


def now_ms() -> int:
    """Return the time in epoch milliseconds."""
    return time.time_ns() // 1_000_000
