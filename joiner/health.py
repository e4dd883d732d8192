"""The joiner's state over HTTP: `/livez`, `/readyz` and `/metrics`. Knows nothing of the join itself."""

import json
import logging
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST

from joiner.metrics import Metrics
from shared.listening import Endpoint, format_urls, listen

logger = logging.getLogger(__name__)

AUTHORITY = re.compile(r"\Ahttps?://[^/?#]*", re.IGNORECASE)
"""What precedes the path in a request target that is a URL (RFC 9112, section 3.2.2)."""

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


def serve_health(health: Health, metrics: Metrics, endpoint: Endpoint) -> list[int]:
    """Start answering, in threads that run until the process ends.

    Args:
        health: shown at `/livez` and `/readyz`.
        metrics: shown at `/metrics`.
        endpoint: where to listen.

    Returns:
        the port of each socket.

    Raises:
        AlreadyRunning: the port is taken; names the settings.
        SettingError: this machine does not have the address; names the setting.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            path = AUTHORITY.sub("", self.path).partition("?")[0]
            if path == "/metrics":
                self._send(200, CONTENT_TYPE_LATEST, metrics.text())
            else:
                status, report = health.respond(path)
                self._send(status, "application/json", json.dumps(report).encode())

        do_HEAD = do_GET  # noqa: N815 - the base class calls it so

        def _send(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            logger.debug(format, *args)

    listeners = listen(endpoint)
    for listener in listeners:
        threading.Thread(target=_Server(listener, Handler).serve_forever, name="health", daemon=True).start()
    logger.info("health on %s", format_urls(listeners, "/readyz"))
    return [listener.getsockname()[1] for listener in listeners]


class _Server(ThreadingHTTPServer):
    """Answers on a socket that listens already, of either family.

    Args:
        listener: that socket.
        handler: of the requests.
    """

    daemon_threads = True

    def __init__(self, listener: socket.socket, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(listener.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
