"""The joiner's state as `/livez` and `/readyz` show it. Knows nothing of the join itself."""

import time

STUCK_SECONDS = 120.0
"""Longer than any single step of the loop takes, also while a batch of state is restored."""


class Health:
    """The joiner's state.

    The main thread, which runs the loop, writes it; the HTTP server's threads read it. Each field is one reference, so
    at worst a response shows an old state with a new reason.
    """

    def __init__(self) -> None:
        self._state = "starting"
        self._reason: str | None = None
        self._alive_at = time.monotonic()
        self.heartbeats = "off: HEARTBEATS_TOPIC is not set"
        """Where heartbeats come from; written by HeartbeatRelay before its thread starts."""

        self.build = "none: the state is whole"
        """By which rule the sources of a build are whole, or what it waits for; written by BuildRelay."""

    def enter(self, state: str, reason: str | None = None) -> None:
        """Note what the joiner does now: starting, waiting, restoring or running."""
        self._state, self._reason = state, reason
        self.note_alive()

    def note_alive(self) -> None:
        """Note that the loop turns."""
        self._alive_at = time.monotonic()

    @property
    def ready(self) -> bool:
        """True while changes are processed."""
        return self._state == "running" and self.alive

    @property
    def alive(self) -> bool:
        """False if the loop has not turned for STUCK_SECONDS."""
        has_loop = self._state in {"running", "restoring"}
        return not has_loop or time.monotonic() - self._alive_at < STUCK_SECONDS

    def respond(self, path: str) -> tuple[int, dict[str, object]]:
        """Return the status and the body for a path."""
        report: dict[str, object] = {"state": self._state if self.alive else "stuck", "reason": self._reason}
        if path == "/readyz":
            report["heartbeats"] = self.heartbeats
            report["build"] = self.build
        if path == "/livez":
            return (200 if self.alive else 503), report
        if path == "/readyz":
            return (200 if self.ready else 503), report
        return 404, {"title": "no such route", "status": 404, "routes": ["/livez", "/readyz", "/metrics"]}
