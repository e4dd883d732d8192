"""Whether this process stood still: stopped by a signal, a debugger, or a machine that was suspended.

From inside, a pause looks like a Kafka that does not answer. It is told apart by a thread that only keeps time.
"""

import threading
import time
from types import TracebackType
from typing import Self

TICK_SECONDS = 0.5
"""The time between two beats where nothing stands still."""


class PauseDetector:
    """A thread that beats for as long as it is held as a context."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._last = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def __enter__(self) -> Self:
        """Start it."""
        self._last = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._stop.set()
        self._thread.join()

    @property
    def longest_pause_seconds(self) -> float:
        """The longest time between two beats so far, the one that is awaited included."""
        return max(self._longest, time.monotonic() - self._last)

    def _run(self) -> None:
        while not self._stop.wait(TICK_SECONDS):
            now = time.monotonic()
            self._longest = max(self._longest, now - self._last)
            self._last = now
