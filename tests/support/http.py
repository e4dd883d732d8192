"""The reader's HTTP without Kafka: a server over given records in a thread, and raw bytes to it and back."""

import asyncio
import socket
import threading
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

import uvicorn
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from reader.http.fast_path import FastPathConnection
from reader.http.resource import USERS, Resource
from reader.http.routes import Application
from reader.http.server import Server, build_config, choose_loop_factory
from reader.http.server_state import Limits
from reader.http.users import UserResponses
from reader.status.counters import ResponseCounters
from reader.status.prometheus import render_metrics
from reader.status.report import StatusReport
from reader.storage.read_view import StoredRecord
from replication.readiness import Readiness
from shared.shards import Share
from tests.support.read_views import DictReadView

LATEST = Readiness("ready", serves=True, complete_at=float("inf"))
"""Ready, and never behind, whatever the clock says."""


class CountingApplication(Application):
    """The reader's application, which counts how often it is called."""

    calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        self.calls += 1
        await super().__call__(scope, receive, send)


class LocalServer:
    """A server in a thread of its own.

    Args:
        records: what it serves.
        protocol: class of the connections.
        limits: of each connection.
        readiness: how far the reader is.
        routes: further routes.
        origins: allowed for cross-origin scripts.
        partitions: of the topic; None: not known.
        resource: what the users are served as.
        share: the part of the topic that the reader holds; None: all.
    """

    def __init__(
        self,
        records: Mapping[bytes, StoredRecord],
        protocol: type[HttpToolsProtocol] = FastPathConnection,
        *,
        limits: Limits | None = None,
        readiness: Readiness = LATEST,
        routes: Sequence[BaseRoute] = (),
        origins: Sequence[str] = (),
        partitions: int | None = None,
        resource: Resource = USERS,
        share: Share | None = None,
    ) -> None:
        self._share = share
        self._resource = resource
        self._partitions = partitions
        self._records = records
        self._protocol = protocol
        self._limits = limits or Limits()
        self._readiness = readiness
        self._routes = routes
        self._origins = origins
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="serving")

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=choose_loop_factory()) as runner:
            runner.run(self._serve())

    def _view(self) -> DictReadView:
        return DictReadView(self._records, partitions=self._partitions, share=self._share)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        self.counters = ResponseCounters()
        self.application = CountingApplication(
            UserResponses(self._view, lambda: self._readiness, loop.call_soon, self._resource),
            readiness=lambda: self._readiness,
            is_alive=lambda: True,
            render_metrics=lambda: render_metrics([self.counters], StatusReport(self._readiness)),
            counters=self.counters,
            routes=self._routes,
            origins=self._origins,
        )
        config = build_config(self.application, self._protocol)
        ours = issubclass(self._protocol, FastPathConnection)
        self.server = Server(config, self._limits, self.counters) if ours else uvicorn.Server(config)
        self._ready.set()
        await self.server.serve(sockets=[self._listener])
        # Plain uvicorn keeps connections open that wait for bytes that never come, as after an upgrade that it ignored.
        for connection in list(self.server.server_state.connections):
            connection.transport.abort()
        while self.server.server_state.connections:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)

    def __enter__(self) -> Self:
        """Start the server, and wait until it responds."""
        self._thread.start()
        assert self._ready.wait(30)
        exchange(self.port, b"GET /livez HTTP/1.0\r\n\r\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()


def exchange(port: int, sent: bytes, pieces: Iterable[int] = (), seconds: float = 30.0, end: bool = False) -> bytes:
    """Send bytes on a new connection, and return everything received until the other side closes.

    Args:
        port: on 127.0.0.1.
        sent: what to send; the last of it should make the other side close.
        pieces: sizes of the first pieces, each of them sent by itself.
        seconds: how long to wait for more.
        end: whether to close this side's direction after the last byte.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for size in pieces:
                connection.sendall(sent[:size])
                sent = sent[size:]
            connection.sendall(sent)
            if end:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has closed already; what it sent before is read below
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """Return everything received until the other side closes or resets."""
    received = b""
    try:
        while piece := connection.recv(1 << 16):
            received += piece
    except ConnectionResetError:
        pass
    return received
