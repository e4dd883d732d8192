"""HTTP/1.1 on one connection: uvicorn's protocol with a short cut for `GET /users/{userId}`, and with limits.

The short cut answers a plain request where it stands, without a task, a scope or a route, and hands everything that is
not plain to uvicorn's own path. Both send what reader.answers decided, in uvicorn's framing, so that no client can tell
them apart; tests/properties/test_web_paths.py compares them byte for byte. Limits hold on both: sizes are checked while
the request arrives, times by the sweep of reader.connections.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from reader import problems
from reader.answer import Answer
from reader.answers import CONDITIONS, NO_CONDITIONS, conditions_of
from reader.connections import Connections
from reader.web import ENDLESS, Application

logger = logging.getLogger(__name__)

USER = re.compile(rb"/users/([A-Za-z0-9\-._~%!$&'()*+,;=:@]+)")
"""The path of a user, in the characters that a path segment is made of."""

NOT_PLAIN = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"origin"})
"""Header fields of requests that take the ordinary path."""

READING = frozenset({b"GET", b"HEAD"})

ALWAYS_ANSWERED = frozenset({b"/livez", b"/readyz", b"/metrics"})
"""What is answered however many connections there are."""

IN_A_ROW = 32
"""Pipelined requests that are answered in one go; then others get their turn."""

END = b"\r\n"
LAST_END = problems.CLOSE + b"\r\n"


class _Refused(Exception):  # noqa: N818 - a decision, not a failure
    """The request is refused before it is whole."""


class _Ending:
    """A transport that is closed the reader's way.

    Args:
        transport: where to write.
        close: called instead of its own closing.
    """

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


class ReaderProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        config: whose application is the reader's.
        server_state: shared by all connections of the server.
        app_state: of uvicorn.
        _loop: the event loop, where it is not the running one.
    """

    def __init__(
        self,
        config: Config,
        server_state: Connections,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._answers = cast("Application", config.app).answers
        self._state = server_state
        self._limits = server_state.limits
        self._late = False
        self._arriving = False
        self._since = server_state.now
        self._unsent = 0
        self._chunk = self._first = self._after_first = 0
        self._in_a_row = 0
        self._in_head = False
        self._segment: bytes | None = None
        self._keep_alive = True
        self._noted = self._plain = True
        self._refusal: Answer | None = None
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
        self._in_a_row = 0
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
            raise _Refused
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._first, self._after_first = self._chunk, 0
        self._arriving = self._in_head = True
        self._plain, self._noted = True, False
        self._since = self._state.now

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        self.url += url
        if len(self.url) > self._limits.target_bytes:
            self._refusal = problems.URI_TOO_LONG
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field."""
        name = name.lower()
        if name in NOT_PLAIN:
            self._plain = False
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
        elif name in CONDITIONS:
            self._noted = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Decide which way a request goes."""
        self._in_head = False
        if self._first + self._after_first > self._limits.head_bytes:
            self._check_size()
        if self._late and self.url.partition(b"?")[0] not in ALWAYS_ANSWERED:
            self._refusal = problems.OVERLOADED
            raise _Refused
        self._segment = self._short_cut()
        if self._segment is None:
            self._go_the_ordinary_way()
        else:
            self._keep_alive = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"

    def _short_cut(self) -> bytes | None:
        """Return the path segment that names the user, where the request is one that is answered at once."""
        if not self._plain or self._in_a_row >= IN_A_ROW or not self._idle or self.flow.write_paused:
            return None
        user = USER.fullmatch(self.url)
        if user is None or self.parser.get_method() not in READING or self.parser.should_upgrade():
            return None
        return user[1]

    def on_message_complete(self) -> None:
        """Answer a plain request; let uvicorn know the end of any other."""
        self._arriving = False
        if self._segment is None:
            super().on_message_complete()
            return
        state = self._state
        if not state.turn:
            state.begin_turn(self.loop)
        conditions = conditions_of(self.headers) if self._noted else NO_CONDITIONS
        try:
            answer = self._answers.user(self._segment, conditions)
        except Exception:  # noqa: BLE001 - the ordinary path meets it again, and says so
            self._go_the_ordinary_way()
            super().on_message_complete()
            return
        self._in_a_row += 1
        state.turn.append(answer.status)
        self._send(answer)

    # What is sent

    def _send(self, answer: Answer) -> None:
        """Send an answer as uvicorn would."""
        state = self._state
        end = END if self._keep_alive else LAST_END
        body = answer.body if self.parser.get_method() == b"GET" else b""
        self.transport.write(b"".join((state.start_of(answer.status), answer.head, end, body)))
        state.total_requests += 1
        if self._keep_alive:
            self._since = state.now
        else:
            self._end_after_an_answer()

    @property
    def _idle(self) -> bool:
        """Whether nothing is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _go_the_ordinary_way(self) -> None:
        """Have uvicorn answer the request whose head has arrived."""
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers += headers
        super().on_headers_complete()
        self.cycle.transport = cast("asyncio.Transport", _Ending(self.transport, self._end_after_an_answer))

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

    def _check_size(self) -> None:
        """Refuse a request whose head is too large; what has arrived may be more than one request."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._limits.head_bytes:
            self._refusal = problems.HEADERS_TOO_LARGE
            raise _Refused

    def _stop_hearing(self, last_words: bytes = b"") -> None:
        """Hear nothing more, answer what was asked, say a last thing, and close."""
        if not self._deaf:
            self._deaf, self._last_words = True, last_words
            if self._idle:
                self._end()

    def _refuse(self, answer: Answer) -> None:
        """Say why the client is not heard any further."""
        self._state.traffic.answered(answer.status, 0.0)
        self._stop_hearing(self._state.start_of(answer.status) + answer.head + END + answer.body)

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
