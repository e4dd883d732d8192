"""Up to when all changes have been read: the time that a heartbeat may promise. Pure.

A change that is committed may still wait to be read, because an older transaction runs on. So the time of a poll is
promised only once every transaction that was known at that poll is older than all that still run.
"""

import json
from collections import deque

MOST_POLLS = 10_000
"""How many polls are kept in mind while an old transaction runs on; after that, none is added until it ends."""


class Horizon:
    """The polls whose transactions may still run."""

    def __init__(self) -> None:
        self._polls: deque[tuple[int, int]] = deque()
        self.reached_ms: int | None = None
        """All changes that were committed before this time have been read, epoch ms of the database's clock."""

    def advance(self, now_ms: int, oldest: int, following: int) -> None:
        """Note that a poll has read all that it may.

        Args:
            now_ms: the database's time before the poll's snapshot, epoch ms.
            oldest: the lowest transaction id that still ran in the snapshot; all lower ones have been read.
            following: the id above all that had ended by then: whatever is committed before `now_ms` is lower.
        """
        while self._polls and self._polls[0][1] <= oldest:
            self.reached_ms, _ = self._polls.popleft()
        if following <= oldest:
            self.reached_ms = now_ms
        elif self._polls and self._polls[-1][1] == following:
            self._polls[-1] = (now_ms, following)
        elif len(self._polls) < MOST_POLLS:
            self._polls.append((now_ms, following))


def encode_beat(time_ms: int) -> tuple[bytes, bytes]:
    """Return key and value of a heartbeat, which joiners read as the flat row of a table that changes all the time.

    Args:
        time_ms: all changes that were committed before it have been written, epoch ms.
    """
    row = {"heartbeat_id": 1, "__op": "u", "__source_ts_ms": time_ms}
    return b'{"heartbeat_id":1}', json.dumps(row).encode()
