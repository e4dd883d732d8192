"""Decides whether the loop may continue, and ends it with the first error that says it may not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from joiner.background.progress import CommittedProgress
from joiner.health import Health


class LoopGuard:
    """Keeps errors of callbacks for the loop, and raises them there.

    Used by the loop's thread alone; `progress.failure` is what background threads set.

    Args:
        health: notes that the loop is alive.
        progress: may hold a reason to end.
        refuse_commits: stops Quix from committing anything more.
    """

    def __init__(self, health: Health, progress: CommittedProgress, refuse_commits: Callable[[], None]) -> None:
        self._health = health
        self._progress = progress
        self._refuse_commits = refuse_commits
        self._error: Exception | None = None

    @contextmanager
    def defer_errors(self) -> Iterator[None]:
        """Keep an error of a Kafka client's callback for the loop, which raises it as soon as the client returns.

        The client serves several callbacks in one call and loses all errors but one; and an error that is raised while
        partitions are assigned keeps the client from ever closing.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised again
            # A callback that follows at once must not commit anything.
            self._refuse_commits()
            self._error = self._error or error

    def check(self) -> None:
        """Note that the loop is alive, and raise the error that says it must end, if there is one.

        Raises:
            Exception: as a callback raised it, or a background thread found it.
        """
        self._health.note_alive()
        error = self._error or self._progress.failure
        if error is not None:
            self._error = None
            try:
                raise error
            finally:
                # It holds this frame, which would hold it, and with it everything that was open: stores and locks.
                del error

    def forget(self) -> None:
        """Forget an error that was not raised, and the frames that it holds."""
        self._error = None
