"""Who writes a store, and when that was last said there."""

import os
import secrets
import socket
import time

RENEW_SECONDS = 1.0
"""How often a sink says that it is still there, and so notices that the store is not."""


class Claim:
    """One process's claim on a store.

    Attributes:
        owner: names the process: machine, process id, and what tells it from an earlier one with the same.
    """

    def __init__(self) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._renewed_at = 0.0

    def renew(self) -> None:
        """Note that the store has just taken something from this process."""
        self._renewed_at = time.monotonic()

    def is_due(self) -> bool:
        """Return whether it is time to say so again."""
        return time.monotonic() - self._renewed_at >= RENEW_SECONDS
