"""What all connections of one server share: their limits, the clock that the limits go by, and what they have counted.

A sweep at fixed intervals ends the connections that are past a limit, so that a request costs no timer of its own.
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
"""How often it is looked at how late the event loop is; a whole number of ms, which is how finely its timers go."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take up.

    Args:
        connections: open at a time; requests on further ones are answered 503.
        target_bytes: of the request target.
        head_bytes: of the request target and the header fields together.
        request_seconds: for a request to arrive, from its first byte to its last, and for the first byte on a new
            connection.
        idle_seconds: between an answer and the next request.
        stalled_seconds: without the client taking any of what it was sent.
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
    """A connection, as far as the sweep sees it."""

    def sweep(self, now: float) -> None:
        """End it if it is past a limit."""


class ReaderServerState(ServerState):
    """The state that uvicorn hands to each connection, and more.

    Args:
        limits: that hold for each of them.
        traffic: where answers are counted.
    """

    def __init__(self, limits: Limits, traffic: ResponseCounters) -> None:
        super().__init__()
        self.limits = limits
        self.traffic = traffic
        self.now = time.monotonic()
        self.turn: list[int] = []
        self._turn_began = 0.0
        self._starts: dict[int, bytes] = {}
        self._starts_are_of: list[tuple[bytes, bytes]] | None = None

    def response_start(self, status: int) -> bytes:
        """Return the lines that every answer of a status begins with: the status, and the server's own headers."""
        if self._starts_are_of is not self.default_headers:
            self._starts_are_of = self.default_headers
            self._starts.clear()
        start = self._starts.get(status)
        if start is None:
            lines = b"".join(b"%b: %b\r\n" % pair for pair in self.default_headers)
            start = self._starts[status] = STATUS_LINE[status] + lines
        return start

    def begin_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to gather the statuses of what is answered in this turn of the event loop, in `turn`.

        One look at the clock and one call for all of them: all are said to have taken as long as the whole turn, which
        none of them exceeded.
        """
        self._turn_began = time.perf_counter()
        loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        seconds = time.perf_counter() - self._turn_began
        for status in self.turn:
            self.traffic.count_response(status, seconds)
        self.turn.clear()

    async def watch_until_cancelled(self) -> None:
        """Look again and again at how late the event loop is."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(DELAY_CHECK_SECONDS)
            self.traffic.note_delay(time.perf_counter() - began - DELAY_CHECK_SECONDS)

    async def sweep_until_cancelled(self) -> None:
        """Go through all connections again and again."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.now = time.monotonic()
            self.traffic.connections = len(self.connections)
            for connection in list(self.connections):
                connection.sweep(self.now)  # type: ignore[union-attr]
