"""Answers over HTTP in one process, until told to stop. The only module that knows how uvicorn is run."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import uvicorn

from reader.settings import ReaderSettings
from reader.web import Application
from shared.errors import AlreadyRunning

logger = logging.getLogger("reader")

BACKLOG = 2048
DRAIN_SECONDS = 3


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


async def serve(application: Application, listener: socket.socket, on_stop: Callable[[], None]) -> None:
    """Answer until SIGTERM or SIGINT, then let the requests at hand end.

    Args:
        application: what answers.
        listener: where to listen; closed afterwards.
        on_stop: called once when the signal arrives; must not block.
    """
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # what it warns of is what strangers send
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        lifespan="off",
        proxy_headers=False,
        access_log=False,
        log_config=None,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    server = _Server(config)

    def stop(number: int) -> None:
        on_stop()
        server.handle_exit(number, None)

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    host, port = listener.getsockname()[:2]
    logger.info("answering on http://%s:%d/users/{userId}", host, port)
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn, which would otherwise raise the signal again after draining, and so end before the store is closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the event loop."""
        yield


def runner(loop: asyncio.AbstractEventLoop, before: Callable[[], None]) -> Callable[[Callable[[], None]], None]:
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


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the fastest event loop that there is here; None for Python's own."""
    try:
        import uvloop  # noqa: PLC0415 - not to be had on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
