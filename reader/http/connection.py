"""HTTP/1.1 on one connection: uvicorn's protocol, with limits on what a client takes up, and good manners at the end.

Sizes are checked while a request arrives, times by the sweep of reader.http.server_state. Whatever ends a connection,
what was asked before is answered first, and the client is given time to read what it was told.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from reader.http import problems
from reader.http.response import Response
from reader.http.routes import ENDLESS
from reader.http.server_state import ReaderServerState

ALWAYS_SERVED = frozenset({b"/livez", b"/readyz", b"/metrics"})
"""What is answered however many connections there are."""

END = b"\r\n"


class RefusedError(Exception):
    """The request is refused before it is whole; raised through the parser, which then stops."""


class _TransportWithOwnClose:
    """A transport that is closed the reader's way.

    Args:
        transport: where to write.
        close: called instead of its own closing.
    """

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


class Connection(HttpToolsProtocol):
    """One connection.

    Args:
        config: of uvicorn.
        server_state: shared by all connections of the server.
        app_state: of uvicorn.
        _loop: the event loop, where it is not the running one.
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
        self._late = False
        self._since = server_state.now
        self._unsent = 0
        self._chunk = self._first = self._after_first = 0
        self._arriving = self._in_head = False
        self._refusal: Response | None = None
        self._deaf = self._heard_all = self._ended = False
        self._last_words = b""
        self._answering: RequestResponseCycle | None = None

    # What arrives

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or note that it is one too many."""
        super().connection_made(transport)
        self._late = len(self.connections) > self._limits.connections
        if len(self.connections) > 2 * self._limits.connections:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        if self._deaf:
            return
        self._chunk = len(data)
        self._after_first += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if not self._idle:
                self.cycle.keep_alive = False
            self._stop_hearing()
        except httptools.HttpParserError:
            if self._refusal is None and self._arriving and not self._in_head:
                self._stop_hearing()  # the body is wrong, and the request has its answer: a second would be another's
            else:
                self._refuse(self._refusal or problems.BAD_HTTP)
        else:
            if self._in_head and self._after_first > self._limits.head_bytes:
                self._refuse(problems.HEADERS_TOO_LARGE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let no answer that is still being prepared be written; uvicorn knows of the last one only."""
        for cycle, _ in self.pipeline:
            cycle.disconnected = True
        if self._answering is not None:
            self._answering.disconnected = True
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer what was asked before the client said its last, and close."""
        self._heard_all = True
        self._stop_hearing()
        return not self._ended

    def on_message_begin(self) -> None:
        """Begin a request."""
        if self._ended:
            raise RefusedError
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._first, self._after_first = self._chunk, 0
        self._arriving = self._in_head = True
        self._since = self._state.now

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        self.url += url
        if len(self.url) > self._limits.target_bytes:
            self._refusal = problems.URI_TOO_LONG
            raise RefusedError

    def on_headers_complete(self) -> None:
        """Take a request whose head has arrived, unless it is too large, does not say to whom, or comes too late."""
        self._in_head = False
        if self._first + self._after_first > self._limits.head_bytes:
            self._check_size()
        hosts = [name for name, _ in self.headers].count(b"host")
        if hosts != 1 and (hosts or self.parser.get_http_version() == "1.1"):
            self._refusal = problems.NO_HOST  # RFC 9112, section 3.2; two of them are a way to smuggle
            raise RefusedError
        if self._late and self.url.partition(b"?")[0] not in ALWAYS_SERVED:
            self._refusal = problems.OVERLOADED
            raise RefusedError
        self._take()

    def _check_size(self) -> None:
        """Refuse a request whose head is too large; what has arrived may be more than one request."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._limits.head_bytes:
            self._refusal = problems.HEADERS_TOO_LARGE
            raise RefusedError

    def _take(self) -> None:
        """Have uvicorn answer the request whose head has arrived."""
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers += headers
        super().on_headers_complete()
        self.cycle.transport = cast(
            "asyncio.Transport", _TransportWithOwnClose(self.transport, self._end_after_an_answer)
        )

    def on_message_complete(self) -> None:
        """End a request."""
        self._arriving = False
        super().on_message_complete()

    # What is answered

    @property
    def _idle(self) -> bool:
        """Whether nothing is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Go on after an answer of the ordinary path; the sweep sees to a client that does not."""
        self._state.total_requests += 1
        if self._ended or self.transport.is_closing():
            return
        self._since = self._state.now
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._deaf:
            self._end()

    # What ends a connection

    def _stop_hearing(self, last_words: bytes = b"") -> None:
        """Hear nothing more, answer what was asked, say a last thing, and close."""
        if not self._deaf:
            self._deaf, self._last_words = True, last_words
            if self._idle:
                self._end()

    def _refuse(self, answer: Response) -> None:
        """Say why the client is not heard any further."""
        self._state.traffic.count_response(answer.status, 0.0)
        self._stop_hearing(self._state.response_start(answer.status) + answer.head + END + answer.body)

    def _end_after_an_answer(self) -> None:
        """Close after an answer that said so: whatever else there is to say is said to nobody."""
        self._last_words = b""
        self._end()

    def _end(self) -> None:
        """Close as soon as the client has read all: a reset, sent because it is still talking, would lose that."""
        if self._ended or self.transport.is_closing():
            return
        self._deaf = self._ended = True
        self._since = self._state.now
        if self._last_words:
            self.transport.write(self._last_words)
        if self._heard_all or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()

    def sweep(self, now: float) -> None:
        """End the connection if the client is past a limit."""
        unsent = self.transport.get_write_buffer_size()
        if unsent:
            self._sweep_slow_reader(unsent, now)
            return
        self._unsent = 0
        limits, waited = self._limits, now - self._since
        if self._ended:
            if waited > limits.linger_seconds:
                self.transport.abort()
        elif not self._idle:
            if self._heard_all and self._answering is not None and ENDLESS in self._answering.scope:
                self.transport.close()  # nobody is left to read it, or so it looks: its place is for another
        elif self._in_head:
            if waited > limits.request_seconds:
                self._refuse(problems.REQUEST_TIMEOUT)
        elif waited > (limits.request_seconds if self._arriving else limits.idle_seconds):
            self.transport.close()

    def _sweep_slow_reader(self, unsent: int, now: float) -> None:
        """End the connection of a client that takes nothing of what it was sent."""
        if unsent != self._unsent:
            self._unsent, self._since = unsent, now
        elif now - self._since > self._limits.stalled_seconds:
            self.transport.abort()
