"""The poller's state as `/livez` and `/readyz` show it."""

import time

STUCK_SECONDS = 120.0
"""Longer than any single step of a poll takes."""


class Health:
    """The poller's state: its main thread writes it, the HTTP server's threads read it; each field is one reference."""

    def __init__(self) -> None:
        self._state = "starting"
        self._reason: str | None = None
        self._alive_at = time.monotonic()

    def enter(self, state: str, reason: str | None = None) -> None:
        """Note what the poller does now: starting, waiting, reading (all rows, for the first time) or polling."""
        self._state, self._reason = state, reason
        self.note_alive()

    def note_alive(self) -> None:
        """Note that the poller goes on."""
        self._alive_at = time.monotonic()

    @property
    def alive(self) -> bool:
        """False if a poll has not gone on for STUCK_SECONDS."""
        return self._state not in {"reading", "polling"} or time.monotonic() - self._alive_at < STUCK_SECONDS

    @property
    def ready(self) -> bool:
        """True while tables are polled and no old rows are left to read."""
        return self._state == "polling" and self.alive

    def respond(self, path: str) -> tuple[int, dict[str, object]]:
        """Return the status and the body for a path."""
        report: dict[str, object] = {"state": self._state if self.alive else "stuck", "reason": self._reason}
        if path == "/livez":
            return (200 if self.alive else 503), report
        if path == "/readyz":
            return (200 if self.ready else 503), report
        return 404, {"title": "no such route", "status": 404, "routes": ["/livez", "/readyz", "/metrics"]}
