"""Watches a connector while it runs: its failure is reported, and ends nothing else."""

import time
from collections.abc import Callable

from doctor.connect_status import all_tasks_run, explain_restart, find_failure
from stack.servers.connect import Connect

EVERY_SECONDS = 2.0


class ConnectorWatch:
    """Says once that the connector's task has failed, and once that it runs again.

    Args:
        connect: the worker to ask.
        say: shows a line.
    """

    def __init__(self, connect: Connect, say: Callable[[str], None]) -> None:
        self._connect = connect
        self._say = say
        self._failed = False
        self._next = 0.0

    def check(self) -> None:
        """Read the status if it is time, and say what is new."""
        if time.monotonic() < self._next:
            return
        status = self._connect.read_status()
        self._next = time.monotonic() + EVERY_SECONDS
        reason = find_failure(status)
        if reason is not None and not self._failed:
            self._failed = True
            self._say(f"connect | the connector's task has failed, so no more changes come: {reason}")
            self._say(f"connect | {explain_restart(self._connect.url, reason)}")
        elif reason is None and self._failed and all_tasks_run(status):
            self._failed = False
            self._say("connect | the connector's task runs again")
