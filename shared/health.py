"""Answers over HTTP what a program says of itself: `/livez`, `/readyz`, and `/metrics` for Prometheus.

Knows no program: what is answered is decided by who is asked, in the threads of this server.
"""

import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from shared.listening import Endpoint, format_urls, listen

logger = logging.getLogger(__name__)

AUTHORITY = re.compile(r"\Ahttps?://[^/?#]*", re.IGNORECASE)
"""What precedes the path in a request target that is a URL (RFC 9112, section 3.2.2)."""

BODY_FIELDS = {"content-length", "transfer-encoding"}

METRICS_TYPE = "text/plain; version=1.0.0; charset=utf-8"
"""What Prometheus' text format is called."""

Respond = Callable[[str], tuple[int, dict[str, object]]]
"""Path -> the response's status and its body."""


class Reply(NamedTuple):
    """One response: its status, its header fields but the length, and its body."""

    status: int
    fields: Sequence[tuple[str, str]]
    body: bytes


GetField = Callable[[str], str | None]
"""Name of a header field of a request, in any case -> its value."""

RespondFurther = Callable[[str, GetField], Reply | None]
"""Path with its query, header fields -> the response; None for a path that is not its own."""


def serve_health(
    respond: Respond, metrics: Callable[[], bytes], endpoint: Endpoint, further: RespondFurther | None = None
) -> list[int]:
    """Start answering, in threads that run until the process ends.

    Args:
        respond: decides the response to each path but `/metrics`; called from several threads.
        metrics: returns what `/metrics` shows, in Prometheus' text format; called likewise.
        endpoint: where to listen.
        further: decides the responses to other paths, on connections that stay open between requests; called likewise.

    Returns:
        the port of each socket.

    Raises:
        AlreadyRunning: the port is taken; names the settings.
        SettingError: this machine does not have the address; names the setting.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 5
        protocol_version = "HTTP/1.0" if further is None else "HTTP/1.1"
        wbufsize = -1  # head and body in one packet
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            target = AUTHORITY.sub("", self.path)
            path = target.partition("?")[0]
            reply = None if further is None else further(target, self.headers.get)
            if reply is not None:
                self._send(reply)
            elif path == "/metrics":
                self._send(Reply(200, [("Content-Type", METRICS_TYPE)], metrics()))
            else:
                status, report = respond(path)
                self._send(Reply(status, [("Content-Type", "application/json")], json.dumps(report).encode()))

        do_HEAD = do_GET  # noqa: N815 - the base class calls it so

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in (*reply.fields, ("Content-Length", str(len(reply.body)))):
                self.send_header(name, value)
            if BODY_FIELDS & {name.lower() for name in self.headers}:
                self.send_header("Connection", "close")  # a body, which nobody reads, is no next request
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

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
