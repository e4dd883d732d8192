"""HTTP in one process, until told to stop: limits, and how uvicorn is configured and run.

Borrows from uvicorn what is not its public interface: `Server` overrides `main_loop` (runs the sweep and the loop's
delay meter next to it), `capture_signals` (leaves signals to the event loop) and the attribute `server_state` (the one
that connections get), and stops by `should_exit`. tests/unit/test_uvicorn_parts.py holds their source.
"""

import asyncio
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

import uvicorn

from reader.http.fast_path import FastPathConnection
from reader.http.routes import Application
from reader.http.server_state import Limits, ReaderServerState
from reader.settings import ReaderSettings
from reader.status.counters import ResponseCounters
from reader.storage.read_view import RunBetweenReads
from shared.listening import BACKLOG, format_urls

logger = logging.getLogger("reader")

DRAIN_SECONDS = 2
SWITCH_SECONDS = 0.0005
"""How long the thread that follows the topic may keep the interpreter from a request; Python's own default is 5 ms."""

OTHER_FILES = 200
"""Files that a process has open besides connections: the store's, Kafka's, the libraries'."""


def prepare_limits(settings: ReaderSettings) -> Limits:
    """Return the limits of connections, after raising the process's limit of open files as far as they need it.

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
            "READER_MAX_CONNECTIONS=%d: the system allows this process only %d (see ulimit -n)",
            settings.reader_max_connections,
            connections,
        )
    return Limits(
        connections=connections,
        request_seconds=settings.reader_request_seconds,
        idle_seconds=settings.reader_idle_seconds,
    )


class StopSignal:
    """Stops a process once, by a signal from outside or by a call; to be used in the event loop only.

    Args:
        callback: called at the first stop; must not block.
    """

    def __init__(self, callback: Callable[[], None] = lambda: None) -> None:
        self._callbacks = [callback]
        self._stopped = False

    def add_callback(self, callback: Callable[[], None]) -> None:
        """Call something more at the first stop; at once if that has passed."""
        self._callbacks.append(callback)
        if self._stopped:
            callback()

    def stop(self) -> None:
        """Run the callbacks, once."""
        if not self._stopped:
            self._stopped = True
            for callback in self._callbacks:
                callback()


async def serve(
    application: Application, listeners: Sequence[socket.socket], limits: Limits, stop_signal: StopSignal
) -> None:
    """Serve until SIGTERM, SIGINT or a call stops it, then finish the requests in progress.

    Args:
        application: handles the requests.
        listeners: where to listen; closed afterwards.
        limits: of each connection.
        stop_signal: triggered by the signals too.
    """
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # its warnings are about what strangers send
    server = Server(build_config(application), limits, application.counters)
    stop_signal.add_callback(server.stop)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop_signal.stop)
    logger.info("serving %s", format_urls(listeners, f"{application.users.resource.path}/{{userId}}"))
    # Objects that live as long as the process are exempt from garbage collection: a full one would delay responses.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)
    await server.serve(sockets=list(listeners))


def build_config(application: Application, protocol: type[asyncio.Protocol] = FastPathConnection) -> uvicorn.Config:
    """Return uvicorn's configuration.

    Args:
        application: handles the requests.
        protocol: class of the connections.
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
    """uvicorn's server, with a sweep over its connections.

    Args:
        config: with FastPathConnection as its protocol.
        limits: of each connection.
        counters: of this process's responses.
    """

    def __init__(self, config: uvicorn.Config, limits: Limits, counters: ResponseCounters) -> None:
        super().__init__(config)
        self._reader_state = self.server_state = ReaderServerState(limits, counters)

    def stop(self) -> None:
        """End after the requests in progress."""
        self.should_exit = True

    async def main_loop(self) -> None:
        """Sweep, and measure the event loop's delay, while uvicorn serves."""
        tasks = [
            asyncio.create_task(self._reader_state.sweep_until_cancelled()),
            asyncio.create_task(self._reader_state.measure_delay_until_cancelled()),
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


def make_run_between_reads(loop: asyncio.AbstractEventLoop, release: Callable[[], None]) -> RunBetweenReads:
    """Return a function that runs another in the event loop, where all reads happen, and waits for it.

    The replicator's thread calls what is returned; everything that it runs happens in the event loop's thread.

    Args:
        loop: of the reads.
        release: called there before each function; closes the read view that is open.
    """

    def run_between_reads(function: Callable[[], None]) -> None:
        done: Future[None] = Future()

        def run() -> None:
            try:
                release()
                done.set_result(function())  # type: ignore[func-returns-value]
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
                done.set_exception(error)

        loop.call_soon_threadsafe(run)
        done.result()

    return run_between_reads


def choose_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory of event loops; None, which means Python's own, where uvloop is not available."""
    try:
        import uvloop  # noqa: PLC0415 - not available on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
