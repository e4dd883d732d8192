"""How far something long is, for whoever waits for it: a bar on a terminal, a line now and then elsewhere.

Knows nothing of what is waited for. Its methods may be called from any thread.
"""

import shutil
import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

LINE_SECONDS = 2.0
"""Without a terminal, how often a line is written; what ends sooner writes none."""

BAR_WIDTH = 30
CLEAR = "\r\x1b[K"


class ProgressBar:
    """A bar below all other lines; to be used as a context, which takes the bar away at its end.

    Args:
        label: what is being done.
        file: where it is shown; standard error unless given.
        lines: whether lines are written where there is no terminal.
    """

    def __init__(self, label: str, file: TextIO | None = None, *, lines: bool = True) -> None:
        self._label = label
        self._file = file or sys.stderr
        self._is_terminal = self._file.isatty()
        self._lines = lines
        self._lock = threading.Lock()
        self._bar = ""
        self._line_at = time.monotonic() + LINE_SECONDS

    def show(self, percent: float | None, detail: str | None = None) -> None:
        """Show how far it is.

        Args:
            percent: 0 to 100; None where that is not known.
            detail: what else is to be said, such as the time left.
        """
        share = None if percent is None else f"{percent:.0f} %"
        said = ", ".join(text for text in (share, detail) if text is not None)
        with self._lock:
            if self._is_terminal:
                filled = round(BAR_WIDTH * min(percent or 0.0, 100.0) / 100)
                bar = f"{self._label} [{'#' * filled}{'-' * (BAR_WIDTH - filled)}] {said}"
                self._bar = bar[: shutil.get_terminal_size().columns - 1]
                self._write(CLEAR + self._bar)
            elif self._lines and said and time.monotonic() >= self._line_at:
                self._line_at = time.monotonic() + LINE_SECONDS
                self._write(f"{self._label}: {said}\n")

    def say(self, line: str) -> None:
        """Write a line above the bar."""
        with self._lock:
            self._write(f"{CLEAR if self._bar else ''}{line}\n{self._bar}")

    def clear(self) -> None:
        """Take the bar away."""
        with self._lock:
            if self._bar:
                self._bar = ""
                self._write(CLEAR)

    def _write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
