"""What the joiner says of itself over HTTP: `/livez`, `/readyz` and `/metrics`. Knows nothing of what it does."""

import json
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST

from joiner.metrics import Metrics
from shared.errors import AlreadyRunning

logger = logging.getLogger(__name__)

STUCK_SECONDS = 120.0
"""Longer than any single step of the loop takes, a batch of a state that is being restored included."""


class Health:
    """The joiner's state, written by its loop and read by whoever asks."""

    def __init__(self) -> None:
        self._state = "starting"
        self._reason: str | None = None
        self._beat = time.monotonic()
        self.heartbeats = "off: HEARTBEATS_TOPIC is not set"
        """Where heartbeats come from."""

    def enter(self, state: str, reason: str | None = None) -> None:
        """Note what the joiner does now: starting, restoring, running or stopping."""
        self._state, self._reason = state, reason
        self.beat()

    def beat(self) -> None:
        """Note that the loop goes round."""
        self._beat = time.monotonic()

    @property
    def ready(self) -> bool:
        """True while changes are processed."""
        return self._state == "running" and self.alive

    @property
    def alive(self) -> bool:
        """False when the loop has not gone round for too long."""
        goes_round = self._state in {"running", "restoring"}
        return not goes_round or time.monotonic() - self._beat < STUCK_SECONDS

    def answer(self, path: str) -> tuple[int, dict[str, object]]:
        """Return status and body for a path."""
        report: dict[str, object] = {"state": self._state if self.alive else "stuck", "reason": self._reason}
        if path == "/readyz":
            report["heartbeats"] = self.heartbeats
        if path == "/livez":
            return (200 if self.alive else 503), report
        if path == "/readyz":
            return (200 if self.ready else 503), report
        return 404, {"title": "no such route", "status": 404, "routes": ["/livez", "/readyz", "/metrics"]}


def serve_health(health: Health, metrics: Metrics, host: str, port: int) -> None:
    """Answer in a thread of its own until the process ends.

    Args:
        health: what `/livez` and `/readyz` tell.
        metrics: what `/metrics` tells.
        host: the address to listen on.
        port: the port to listen on.

    Raises:
        AlreadyRunning: the port is taken; names the setting.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._send(200, CONTENT_TYPE_LATEST, metrics.text())
            else:
                status, report = health.answer(path)
                self._send(status, "application/json", json.dumps(report).encode())

        def _send(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            logger.debug(format, *args)

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise AlreadyRunning(
            f"JOINER_HTTP_PORT={port} on {host} cannot be listened on: {error.strerror}; another process has it,"
            " or set another port (0: off)"
        ) from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    logger.info("health on http://%s:%d/readyz", host, port)
