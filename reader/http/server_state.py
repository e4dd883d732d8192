"""What all connections of one server share: limits, the clock that the limits are measured by, and counters.

A sweep at fixed intervals ends the connections that are past a limit, so no request needs a timer of its own.

Borrows from uvicorn: `ServerState`, whose attributes `connections` and `default_headers` are read here, and the table
`STATUS_LINE`. tests/unit/test_uvicorn_parts.py holds their source.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from reader.status.counters import ResponseCounters

SWEEP_SECONDS = 0.25
DELAY_CHECK_SECONDS = 0.02
"""How often the event loop's delay is measured; a whole number of ms, since its timers are no finer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may use.

    Args:
        connections: open at a time; requests on further ones get a 503.
        target_bytes: of the request target.
        head_bytes: of the request target and the header fields together.
        request_seconds: for a request to arrive, from its first byte to its last, and for the first byte on a new
            connection.
        idle_seconds: between a response and the next request.
        stalled_seconds: while the client reads nothing of what it was sent.
        linger_seconds: for a client that was refused to read why.
    """

    connections: int = 2048
    target_bytes: int = 8 * 1024
    head_bytes: int = 32 * 1024
    request_seconds: float = 10.0
    idle_seconds: float = 75.0
    stalled_seconds: float = 30.0
    linger_seconds: float = 2.0


class SweptConnection(Protocol):
    """A connection, as the sweep sees it."""

    def sweep(self, now: float) -> None:
        """End the connection if it is past a limit."""


class ReaderServerState(ServerState):
    """The state that uvicorn hands to each connection, extended; used in the event loop only.

    Args:
        limits: of each connection.
        counters: of this process's responses.
    """

    def __init__(self, limits: Limits, counters: ResponseCounters) -> None:
        super().__init__()
        self.limits = limits
        self.counters = counters
        self.now = time.monotonic()
        self.turn_statuses: list[int] = []
        self._turn_began = 0.0
        self._starts: dict[int, bytes] = {}
        self._headers_of_starts: list[tuple[bytes, bytes]] | None = None

    def response_start(self, status: int) -> bytes:
        """Return the lines that every response with this status begins with: status line and the server's headers."""
        if self._headers_of_starts is not self.default_headers:
            self._headers_of_starts = self.default_headers
            self._starts.clear()
        start = self._starts.get(status)
        if start is None:
            lines = b"".join(b"%b: %b\r\n" % pair for pair in self.default_headers)
            start = self._starts[status] = STATUS_LINE[status] + lines
        return start

    def begin_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to collect the statuses of this turn of the event loop in `turn_statuses`.

        The clock is read once for all of them: each is counted as taking as long as the whole turn, which none of them
        exceeded.
        """
        self._turn_began = time.perf_counter()
        loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        seconds = time.perf_counter() - self._turn_began
        for status in self.turn_statuses:
            self.counters.count_response(status, seconds)
        self.turn_statuses.clear()

    async def measure_delay_until_cancelled(self) -> None:
        """Measure at intervals how late the event loop is."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(DELAY_CHECK_SECONDS)
            self.counters.note_delay(time.perf_counter() - began - DELAY_CHECK_SECONDS)

    async def sweep_until_cancelled(self) -> None:
        """Check all connections at intervals."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.now = time.monotonic()
            self.counters.connections = len(self.connections)
            for connection in list(self.connections):
                connection.sweep(self.now)  # type: ignore[union-attr]
