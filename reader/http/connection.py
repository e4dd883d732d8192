"""HTTP/1.1 on one connection: uvicorn's protocol, with limits on what a client may use, and an orderly close.

Sizes are checked while a request arrives, times by the sweep of reader.http.server_state. However a connection ends,
earlier requests are answered first, and the client gets time to read what it was sent.

Borrows from uvicorn what is not its public interface (tests/unit/test_uvicorn_parts.py holds the source):
- of `HttpToolsProtocol` all connection and parser callbacks, overridden or called, `_start_asgi_task` (tells what cycle
  runs) and `on_response_complete` (replaced: the sweep does what its keep-alive timer would), and the attributes
  `parser`, `url`, `headers`, `expect_100_continue`, `cycle`, `pipeline`, `flow`, `transport` and `connections`;
- of `RequestResponseCycle` the attributes `transport` (replaced), `scope`, `keep_alive`, `disconnected` and
  `response_complete`;
- the type `ASGI3Application`.
"""

import asyncio
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from reader.http import problems
from reader.http.refusals import RefusedError, find_response
from reader.http.response import Response
from reader.http.routes import ENDLESS
from reader.http.server_state import ReaderServerState
from reader.http.targets import find_path, to_origin_form
from reader.http.transport import TransportWithOwnClose

ALWAYS_SERVED = frozenset({b"/livez", b"/readyz", b"/metrics"})
"""Paths that are served however many connections there are."""

END = b"\r\n"


class Connection(HttpToolsProtocol):
    """One connection, within the server's limits.

    Args:
        config: of uvicorn.
        server_state: shared by all connections of the server.
        app_state: of uvicorn.
        _loop: the event loop; None: the running one.
    """

    def __init__(
        self,
        config: Config,
        server_state: ReaderServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._state = server_state
        self._limits = server_state.limits
        self._over_limit = False
        self._waiting_since = server_state.now
        self._unsent_bytes = 0
        self._chunk_bytes = self._first_bytes = self._later_bytes = 0
        self._receiving = self._in_head = self._after_head = False
        self._stopped_reading = self._eof_received = self._closing = False
        self._final_response: Response | None = None
        self._current_cycle: RequestResponseCycle | None = None

    # Receiving

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, and note whether it is over the limit."""
        super().connection_made(transport)
        self._over_limit = len(self.connections) > self._limits.connections
        if len(self.connections) > 2 * self._limits.connections:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, and refuse what cannot be parsed or is too large."""
        if self._stopped_reading:
            return
        self._chunk_bytes = len(data)
        self._later_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if not self._idle:
                self.cycle.keep_alive = False
            self._stop_reading()
        except httptools.HttpParserError as error:
            if self._receiving and not self._in_head:
                # The body is malformed, but its request has been answered: a 400 would answer the next request.
                self._stop_reading()
            else:
                self._refuse(find_response(error.__context__))
        else:
            if self._in_head and self._later_bytes > self._limits.head_bytes:
                self._refuse(problems.HEADERS_TOO_LARGE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep every response in preparation from being written; uvicorn knows of the last one only."""
        for cycle, _ in self.pipeline:
            cycle.disconnected = True
        if self._current_cycle is not None:
            self._current_cycle.disconnected = True
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer the requests that arrived before the client's end of stream, then close."""
        self._eof_received = True
        if self._in_head:
            self._refuse(problems.CUT_OFF)
        self._stop_reading()
        return not self._closing

    def on_message_begin(self) -> None:
        """Reset what is kept per request."""
        if self._closing:
            raise RefusedError(problems.BAD_HTTP)
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._first_bytes, self._later_bytes = self._chunk_bytes, 0
        self._receiving = self._in_head = True
        self._after_head = self.parser.get_method() == b"HEAD"
        self._waiting_since = self._state.now

    def on_url(self, url: bytes) -> None:
        """Append a piece of the request target, within its limit."""
        self.url += url
        if len(self.url) > self._limits.target_bytes:
            raise RefusedError(problems.URI_TOO_LONG)

    def on_headers_complete(self) -> None:
        """Handle a request whose head is complete, unless it is too large, has no single Host, or is over the limit."""
        if self._first_bytes + self._later_bytes > self._limits.head_bytes:
            self._check_head_size()
        hosts = [name for name, _ in self.headers].count(b"host")
        if hosts != 1 and (hosts or self.parser.get_http_version() == "1.1"):
            raise RefusedError(problems.NO_HOST)  # RFC 9112, section 3.2; a second one is a way to smuggle requests
        if self._over_limit and find_path(self.parser.get_method(), self.url) not in ALWAYS_SERVED:
            raise RefusedError(problems.OVERLOADED)
        self._handle_request()
        self._in_head = False

    def _check_head_size(self) -> None:
        """Refuse a request whose head is too large; the bytes that arrived may be more than one request."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._limits.head_bytes:
            raise RefusedError(problems.HEADERS_TOO_LARGE)

    def _handle_request(self) -> None:
        """Have uvicorn handle the request whose head has arrived."""
        url = to_origin_form(self.parser.get_method(), self.url)
        headers, expect = self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers += headers
        try:
            super().on_headers_complete()
        except (httptools.HttpParserError, ValueError) as error:  # uvicorn has rules of its own for targets
            raise RefusedError(problems.BAD_TARGET) from error
        transport = TransportWithOwnClose(self.transport, self._close_after_response)
        self.cycle.transport = cast("asyncio.Transport", transport)

    def on_message_complete(self) -> None:
        """Note that the request has arrived completely, body included."""
        self._receiving = False
        super().on_message_complete()

    # Responding

    @property
    def _idle(self) -> bool:
        """Whether no response is in preparation."""
        return self.cycle is None or self.cycle.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._current_cycle = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Continue after a response of the ordinary path; the sweep ends the connection of a silent client."""
        self._state.total_requests += 1
        if self._closing or self.transport.is_closing():
            return
        self._waiting_since = self._state.now
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._stopped_reading:
            self._close_gracefully()

    # Closing

    def _stop_reading(self, final_response: Response | None = None) -> None:
        """Read no more, finish the responses in preparation, send a final one, and close."""
        if not self._stopped_reading:
            self._stopped_reading, self._final_response = True, final_response
            if self._idle:
                self._close_gracefully()

    def _refuse(self, response: Response) -> None:
        """Read no more, and send the reason as the final response; to a HEAD without its body."""
        # Until the parser has read a method, it names that of the request before.
        is_head = self.parser.get_method() == b"HEAD" and (self.url or not self._after_head)
        self._stop_reading(response._replace(body=b"") if is_head else response)

    def _close_after_response(self) -> None:
        """Close after a response that announced it; no client expects a further one."""
        self._final_response = None
        self._close_gracefully()

    def _close_gracefully(self) -> None:
        """Close as soon as the client has read everything: a reset, sent because it still sends, would lose that."""
        if self._closing or self.transport.is_closing():
            return
        self._stopped_reading = self._closing = True
        self._waiting_since = self._state.now
        final = self._final_response
        if final is not None:
            self._state.counters.count_response(final.status, 0.0)
            self.transport.write(self._state.response_start(final.status) + final.head + END + final.body)
        if self._eof_received or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()

    def sweep(self, now: float) -> None:
        """End the connection if the client is past a limit."""
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes:
            self._sweep_stalled(unsent_bytes, now)
            return
        self._unsent_bytes = 0
        limits, waited = self._limits, now - self._waiting_since
        if self._closing:
            if waited > limits.linger_seconds:
                self.transport.abort()
        elif not self._idle:
            if self._eof_received and self._current_cycle is not None and ENDLESS in self._current_cycle.scope:
                self.transport.close()  # the client has gone, or looks like it: another may need the stream's slot
        elif self._in_head:
            if waited > limits.request_seconds:
                self._refuse(problems.REQUEST_TIMEOUT)
        elif waited > (limits.request_seconds if self._receiving else limits.idle_seconds):
            self.transport.close()

    def _sweep_stalled(self, unsent_bytes: int, now: float) -> None:
        """End the connection of a client that reads nothing of what it was sent."""
        if unsent_bytes != self._unsent_bytes:
            self._unsent_bytes, self._waiting_since = unsent_bytes, now
        elif now - self._waiting_since > self._limits.stalled_seconds:
            self.transport.abort()
