"""Answers over HTTP in one process, until told to stop. The only module that knows how uvicorn is run."""

import asyncio
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import uvicorn

from reader.http.fast_path import FastPathConnection
from reader.http.routes import Application
from reader.http.server_state import Limits, ReaderServerState
from reader.settings import ReaderSettings
from reader.status.counters import ResponseCounters
from reader.storage.read_view import RunBetweenReads
from shared.errors import AlreadyRunning

logger = logging.getLogger("reader")

BACKLOG = 2048
DRAIN_SECONDS = 2
SWITCH_SECONDS = 0.0005
"""How long the thread that follows the topic may keep the interpreter from an answer; Python's own default is 5 ms."""

OTHER_FILES = 200
"""Files that a process has open besides connections: the store's, Kafka's, the libraries'."""


def listen(settings: ReaderSettings) -> socket.socket:
    """Take the port.

    Raises:
        AlreadyRunning: another process has it; names the setting.
    """
    try:
        return socket.create_server((settings.reader_host, settings.reader_port), backlog=BACKLOG)
    except OSError as error:
        raise AlreadyRunning(
            f"READER_PORT={settings.reader_port} on READER_HOST={settings.reader_host} cannot be listened on:"
            f" {error.strerror}; another process has it, or set another port (0: any free one)"
        ) from error


def listen_per_worker(settings: ReaderSettings) -> list[socket.socket]:
    """Take the port once for each worker; the system spreads connections over them.

    Raises:
        AlreadyRunning: another process has it; names the setting.
    """
    alone = listen(settings)  # would share it with nobody, and so finds out whether anybody has it
    address = alone.getsockname()[:2]
    alone.close()
    return [socket.create_server(address, backlog=BACKLOG, reuse_port=True) for _ in range(settings.reader_workers)]


def prepare_limits(settings: ReaderSettings) -> Limits:
    """Return what a client may take up, having seen to it that the system allows as many connections.

    Args:
        settings: of the reader.
    """
    wanted = 2 * settings.reader_max_connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft not in {resource.RLIM_INFINITY, max(soft, allowed)}:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    connections = min(settings.reader_max_connections, max(1, (allowed - OTHER_FILES) // 2))
    if connections < settings.reader_max_connections:
        logger.warning(
            "READER_MAX_CONNECTIONS=%d: the system lets this process have %d (see ulimit -n)",
            settings.reader_max_connections,
            connections,
        )
    return Limits(
        connections=connections,
        request_seconds=settings.reader_request_seconds,
        idle_seconds=settings.reader_idle_seconds,
    )


class StopSignal:
    """Something to stop by: a signal, or whoever has this.

    Args:
        also: called when it is stopped for the first time; must not block.
    """

    def __init__(self, also: Callable[[], None] = lambda: None) -> None:
        self._calls = [also]
        self._stopped = False

    def add(self, call: Callable[[], None]) -> None:
        """Have something more called; at once where it was stopped already."""
        self._calls.append(call)
        if self._stopped:
            call()

    def stop(self) -> None:
        """Stop."""
        if not self._stopped:
            self._stopped = True
            for call in self._calls:
                call()


async def serve(application: Application, listener: socket.socket, limits: Limits, stopping: StopSignal) -> None:
    """Answer until SIGTERM or SIGINT, or until stopped, then let the requests at hand end.

    Args:
        application: what answers.
        listener: where to listen; closed afterwards.
        limits: of each connection.
        stopping: stopped by the signals.
    """
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # what it warns of is what strangers send
    server = Server(build_config(application), limits, application.traffic)
    stopping.add(server.stop)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.stop)
    host, port = listener.getsockname()[:2]
    logger.info("answering on http://%s:%d/users/{userId}", host, port)
    # What lives as long as the process is looked through no more: a full collection would hold answers up.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)
    await server.serve(sockets=[listener])


def build_config(application: Application, protocol: type[asyncio.Protocol] = FastPathConnection) -> uvicorn.Config:
    """Return how uvicorn is to serve the reader's application.

    Args:
        application: what answers.
        protocol: what speaks HTTP.
    """
    return uvicorn.Config(
        application,
        http=protocol,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        access_log=False,
        log_config=None,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


class Server(uvicorn.Server):
    """uvicorn, with connections that are swept.

    Args:
        config: with ReaderProtocol as its protocol.
        limits: of each connection.
        traffic: where answers are counted.
    """

    def __init__(self, config: uvicorn.Config, limits: Limits, traffic: ResponseCounters) -> None:
        super().__init__(config)
        self._connections = self.server_state = ReaderServerState(limits, traffic)

    def stop(self) -> None:
        """End after the requests at hand."""
        self.should_exit = True

    async def main_loop(self) -> None:
        """Sweep, and watch the event loop, for as long as it answers."""
        connections = self._connections
        tasks = [
            asyncio.create_task(connections.sweep_until_cancelled()),
            asyncio.create_task(connections.watch_until_cancelled()),
        ]
        try:
            await super().main_loop()
        finally:
            for task in tasks:
                task.cancel()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the event loop; uvicorn would raise them again, and so end before the store is closed."""
        yield


def make_run_between_reads(loop: asyncio.AbstractEventLoop, before: Callable[[], None]) -> RunBetweenReads:
    """Return what runs a function in the event loop, where all reads happen, and waits for it.

    Args:
        loop: of the reads.
        before: called there before each function, to let go of what is being read.
    """

    def run_there(function: Callable[[], None]) -> None:
        done: Future[None] = Future()

        def call() -> None:
            try:
                before()
                done.set_result(function())  # type: ignore[func-returns-value]
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                done.set_exception(error)

        loop.call_soon_threadsafe(call)
        done.result()

    return run_there


def choose_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the fastest event loop that there is here; None for Python's own."""
    try:
        import uvloop  # noqa: PLC0415 - not to be had on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
