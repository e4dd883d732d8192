"""Answers over HTTP what a program says of itself: `/livez`, `/readyz`, and `/metrics` for Prometheus.

Knows no program: what is answered is decided by who is asked, in the threads of this server.
"""

import json
import logging
import re
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from shared.listening import Endpoint, format_urls, listen

logger = logging.getLogger(__name__)

AUTHORITY = re.compile(r"\Ahttps?://[^/?#]*", re.IGNORECASE)
"""What precedes the path in a request target that is a URL (RFC 9112, section 3.2.2)."""

METRICS_TYPE = "text/plain; version=1.0.0; charset=utf-8"
"""What Prometheus' text format is called."""

Respond = Callable[[str], tuple[int, dict[str, object]]]
"""Path -> the response's status and its body."""


def serve_health(respond: Respond, metrics: Callable[[], bytes], endpoint: Endpoint) -> list[int]:
    """Start answering, in threads that run until the process ends.

    Args:
        respond: decides the response to each path but `/metrics`; called from several threads.
        metrics: returns what `/metrics` shows, in Prometheus' text format; called likewise.
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
                self._send(200, METRICS_TYPE, metrics())
            else:
                status, report = respond(path)
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
