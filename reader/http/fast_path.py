"""The short cut: `GET /users/{userId}` is answered where it arrives, without a task, a scope or a route.

Everything that is not plain is handed to uvicorn's own path. Both send what reader.http.users decided, in uvicorn's
framing, so that no client can tell them apart; tests/properties/test_fast_path.py compares them byte for byte.
"""

import asyncio
import re
from typing import Any, cast

from uvicorn.config import Config

from reader.http import problems
from reader.http.connection import END, Connection
from reader.http.response import Response
from reader.http.routes import Application
from reader.http.server_state import ReaderServerState
from reader.http.users import CONDITION_FIELDS, NO_CONDITIONS, parse_conditions

USER = re.compile(rb"/users/([A-Za-z0-9\-._~%!$&'()*+,;=:@]+)")
"""The path of a user, in the characters that a path segment is made of."""

NOT_PLAIN = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"origin"})
"""Header fields of requests that take the ordinary path."""

METHODS = frozenset({b"GET", b"HEAD"})

MAX_IN_A_ROW = 32
"""Pipelined requests that are answered in one go; then others get their turn."""

LAST_END = problems.CLOSE + END


class FastPathConnection(Connection):
    """One connection of a server whose application is the reader's.

    Args:
        config: with that application.
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
        self._answers = cast("Application", config.app).answers
        self._in_a_row = 0
        self._segment: bytes | None = None
        self._keep_alive = True
        self._noted = self._plain = True

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        self._in_a_row = 0
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin a request, of which nothing is known yet."""
        self._plain, self._noted = True, False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field."""
        name = name.lower()
        if name in NOT_PLAIN:
            self._plain = False
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
        elif name in CONDITION_FIELDS:
            self._noted = True
        self.headers.append((name, value))

    def _take(self) -> None:
        """Decide which way a request goes whose head has arrived."""
        self._segment = self._short_cut()
        if self._segment is None:
            super()._take()
        else:
            self._keep_alive = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"

    def _short_cut(self) -> bytes | None:
        """Return the path segment that names the user, where the request is one that is answered at once."""
        if not self._plain or self._in_a_row >= MAX_IN_A_ROW or not self._idle or self.flow.write_paused:
            return None
        user = USER.fullmatch(self.url)
        if user is None or self.parser.get_method() not in METHODS or self.parser.should_upgrade():
            return None
        return user[1]

    def on_message_complete(self) -> None:
        """Answer a plain request; let uvicorn know the end of any other."""
        if self._segment is None:
            super().on_message_complete()
            return
        self._arriving = False
        state = self._state
        if not state.turn:
            state.begin_turn(self.loop)
        conditions = parse_conditions(self.headers) if self._noted else NO_CONDITIONS
        try:
            answer = self._answers.get_user(self._segment, conditions)
        except Exception:  # noqa: BLE001 - the ordinary path meets it again, and says so
            super()._take()
            super().on_message_complete()
            return
        self._in_a_row += 1
        state.turn.append(answer.status)
        self._send(answer)

    def _send(self, answer: Response) -> None:
        """Send an answer as uvicorn would."""
        state = self._state
        end = END if self._keep_alive else LAST_END
        body = answer.body if self.parser.get_method() == b"GET" else b""
        self.transport.write(b"".join((state.response_start(answer.status), answer.head, end, body)))
        state.total_requests += 1
        if self._keep_alive:
            self._since = state.now
        else:
            self._end_after_an_answer()
