"""When a checkpoint closes: soon while caught up, late while behind, and before it holds too much. Pure: no clock."""

BATCH = 2_000
"""Messages taken at once: so many that the cost of the call is negligible, and few enough to commit in time."""

CHECKPOINT_ROWS = 50_000
"""Rows and users held in memory before a checkpoint is closed early: some 100 MB."""

SLOW_COMMIT_SECONDS = 2.0
"""A commit that takes longer is followed by a smaller checkpoint: well within the transaction's timeout."""

MAX_WAIT_SECONDS = 0.02
MIN_WAIT_SECONDS = 0.001
"""How long a batch waits to fill; the minimum is enough to take what has already arrived."""


class CommitPolicy:
    """How long and how large checkpoints may become.

    Args:
        shortest: seconds from one commit to the next while caught up, the commit included; a change waits for two
            commits on its way.
        longest: seconds that a checkpoint stays open while behind.
    """

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest = shortest
        self._longest = longest
        # Each quick commit doubles it: how quick the broker is must be found out, and a commit must end in time.
        self._rows_held = BATCH
        self._commit_took = 0.0

    def note_commit(self, seconds: float) -> None:
        """Note how long a commit took."""
        self._commit_took = seconds
        if seconds > SLOW_COMMIT_SECONDS:
            self._rows_held = max(self._rows_held // 2, BATCH)
        else:
            self._rows_held = min(self._rows_held * 2, CHECKPOINT_ROWS)

    def choose_interval(self, taken: int, held: int) -> float:
        """Return how long the open checkpoint may stay open, in seconds.

        Args:
            taken: messages in the last batch; a full one means a backlog.
            held: rows and users in memory.
        """
        if held > self._rows_held:
            return 0.0
        if taken == BATCH:
            return self._longest
        return max(self._shortest - self._commit_took, self._shortest / 2)


def limit_wait(left: float) -> float:
    """Return how many seconds a batch may wait to fill: not beyond the commit.

    Args:
        left: seconds until the checkpoint closes.
    """
    return min(max(left, MIN_WAIT_SECONDS), MAX_WAIT_SECONDS)
