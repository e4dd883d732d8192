"""Waiting for a condition instead of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], seconds: float = 30.0, what: str = "the condition") -> T:
    """Call a condition until it is true, and return what it returned.

    Args:
        condition: called again and again; its first true result is returned.
        seconds: for how long.
        what: what is waited for, for the failure's message.

    Raises:
        AssertionError: it did not become true in time; names what it last was.
    """
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {seconds:g} s; last: {result!r}")
        time.sleep(0.05)
