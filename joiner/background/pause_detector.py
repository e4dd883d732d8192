"""Whether this process was paused: stopped by a signal or a debugger, or on a machine that was suspended.

From inside, a pause looks like a Kafka that does not answer. A thread that only keeps time tells the two apart.
"""

import time

from shared.threads import BackgroundThread

TICK_SECONDS = 0.5
"""The time from one tick to the next while the process is not paused."""


class PauseDetector(BackgroundThread):
    """Measures the time between its own ticks. The thread writes both fields, and the loop's thread reads them."""

    def __init__(self) -> None:
        super().__init__("pause detector")
        self._longest = 0.0
        self._last = time.monotonic()

    @property
    def longest_pause_seconds(self) -> float:
        """The longest time between two ticks so far, or since the last one."""
        return max(self._longest, time.monotonic() - self._last)

    def start(self) -> None:
        """Start the thread; time is measured from here."""
        self._last = time.monotonic()
        super().start()

    def _run(self) -> None:
        while not self.stopping.wait(TICK_SECONDS):
            now = time.monotonic()
            self._longest = max(self._longest, now - self._last)
            self._last = now
