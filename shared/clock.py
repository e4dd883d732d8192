"""The wall clock, in the unit that Kafka and the topics use, and beside the one that never goes back."""

import time
from typing import NamedTuple

MAX_AHEAD_MS = 1_000
"""How far another machine's clock may be ahead before its times are not trusted: any delay up to that is hidden."""


def now_ms() -> int:
    """Return the time in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def to_epoch_ms(moment: float) -> int:
    """Return a moment of the monotonic clock as epoch milliseconds."""
    return now_ms() - round((time.monotonic() - moment) * 1000)


class Moment(NamedTuple):
    """One moment by two clocks: the monotonic one may stand still with the machine, the wall clock may be set.

    Args:
        monotonic: seconds since some moment.
        wall: seconds since 1970.
    """

    monotonic: float
    wall: float

    @staticmethod
    def now() -> "Moment":
        """Return this moment."""
        return Moment(time.monotonic(), time.time())
