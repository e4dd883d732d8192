"""The fast path: `GET /users/{userId}` is answered while it is parsed, without a task, a scope or a route.

A request that is not plain takes uvicorn's ordinary path. Both send what reader.http.users decided, in uvicorn's
framing, so clients see no difference; tests/properties/test_fast_path.py compares them byte for byte.

Borrows from uvicorn, besides what reader.http.connection lists, `HttpToolsProtocol.on_header` (replaced: it notes at
once which fields keep a request from the fast path), `flow.write_paused`, `loop` and `ServerState.total_requests`.
"""

import asyncio
import re
from functools import cache
from typing import Any, cast

from uvicorn.config import Config

from reader.http import problems
from reader.http.conditions import CONDITION_FIELDS, NO_CONDITIONS, parse_conditions
from reader.http.connection import END, Connection
from reader.http.response import Response
from reader.http.routes import Application
from reader.http.server_state import ReaderServerState

SEGMENT = rb"/([A-Za-z0-9\-._~%!$&'()*+,;=:@]+)"
"""What follows the resource's path in that of a user, in the characters that a path segment is made of."""

NOT_PLAIN = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"origin"})
"""Header fields of requests that take the ordinary path."""

METHODS = frozenset({b"GET", b"HEAD"})

MAX_IN_A_ROW = 32
"""Pipelined requests handled in one go; then other connections get their turn."""

LAST_END = problems.CLOSE + END


class FastPathConnection(Connection):
    """One connection of a server whose application is the reader's.

    Args:
        config: with that application.
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
        self._users = cast("Application", config.app).users
        self._match = _compile_path(self._users.resource.path).fullmatch
        self._in_a_row = 0
        self._segment: bytes | None = None
        self._keep_alive = True
        self._conditional = self._plain = True

    def data_received(self, data: bytes) -> None:
        """Parse received bytes; a new read allows a new row of pipelined requests."""
        self._in_a_row = 0
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin a request, which is plain until a header field says otherwise."""
        self._plain, self._conditional = True, False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header field, and note whether it keeps the request from the fast path."""
        name = name.lower()
        if name in NOT_PLAIN:
            self._plain = False
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
        elif name in CONDITION_FIELDS:
            self._conditional = True
        self.headers.append((name, value))

    def _handle_request(self) -> None:
        """Choose the path of a request whose head has arrived."""
        self._segment = self._match_fast_path()
        if self._segment is None:
            super()._handle_request()
        else:
            self._keep_alive = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"

    def _match_fast_path(self) -> bytes | None:
        """Return the path segment that names the user; None for a request that takes the ordinary path."""
        if not self._plain or self._in_a_row >= MAX_IN_A_ROW or not self._idle or self.flow.write_paused:
            return None
        user = self._match(self.url)
        if user is None or self.parser.get_method() not in METHODS or self.parser.should_upgrade():
            return None
        return user[1]

    def on_message_complete(self) -> None:
        """Respond to a plain request; pass the end of any other on to uvicorn."""
        if self._segment is None:
            super().on_message_complete()
            return
        self._receiving = False
        state = self._state
        if not state.turn_statuses:
            state.begin_turn(self.loop)
        conditions = parse_conditions(self.headers) if self._conditional else NO_CONDITIONS
        try:
            response = self._users.get_user(self._segment, conditions)
        except Exception:  # noqa: BLE001 - the ordinary path meets it again, logs it and sends a 500
            super()._handle_request()
            super().on_message_complete()
            return
        self._in_a_row += 1
        state.turn_statuses.append(response.status)
        self._send(response)

    def _send(self, response: Response) -> None:
        """Send a response as uvicorn would."""
        state = self._state
        end = END if self._keep_alive else LAST_END
        body = response.body if self.parser.get_method() == b"GET" else b""
        self.transport.write(b"".join((state.response_start(response.status), response.head, end, body)))
        state.total_requests += 1
        if self._keep_alive:
            self._waiting_since = state.now
        else:
            self._close_after_response()


@cache
def _compile_path(resource: str) -> re.Pattern[bytes]:
    """Return what the path of a user matches.

    Args:
        resource: the path in front of the id.
    """
    return re.compile(re.escape(resource.encode()) + SEGMENT)
