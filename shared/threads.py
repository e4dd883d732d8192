"""A thread that works next to others for as long as it is held as a context."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar, Self


class BackgroundThread(ABC):
    """One daemon thread: started once, told to stop, waited for.

    `stopping` may be set from any thread; everything else is the owner's.

    Args:
        name: the thread's, as debuggers and logs show it.
    """

    stop_seconds: ClassVar[float | None] = None
    """How long `stop` waits for `_run` to return; None: as long as it takes."""

    def __init__(self, name: str) -> None:
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def _run(self) -> None:
        """Work until `stopping` is set; called in the thread."""

    @property
    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread; may be called once."""
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to stop, and wait for it; safe to call even if it never started."""
        self.stopping.set()
        if self._thread.ident is not None:
            self._thread.join(self.stop_seconds)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
