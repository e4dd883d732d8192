"""`python -m reader`: read the settings, take the locks, follow the topic, answer until told to stop."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import click
import uvicorn
from confluent_kafka.admin import AdminClient

from reader.generations import Generations
from reader.replicator import Replicator
from reader.settings import ReaderSettings
from reader.web import application
from shared import lock, logs
from shared.errors import AlreadyRunning, UserInformationError
from shared.kafka import understood
from shared.settings import help_text, load

logger = logging.getLogger("reader")

BACKLOG = 2048
DRAIN_SECONDS = 3


@click.group(
    invoke_without_command=True,
    epilog=f"\b\nSettings, all environment variables:\n{help_text(ReaderSettings)}\n"
    "  KAFKA_<PROPERTY>\n      Any property of librdkafka, such as KAFKA_SECURITY_PROTOCOL=ssl.",
    context_settings={"max_content_width": 100},
)
@click.pass_context
def main(context: click.Context) -> None:
    """Keep the whole topic user-info in a local store and answer GET /users/{userId} out of it.

    Answers 503 until it has caught up with the topic, and from then on whatever happens to Kafka. Runs until SIGTERM
    or SIGINT. For more load start more readers, each with a READER_STATE_DIR and a READER_PORT of its own.
    """
    if context.invoked_subcommand is not None:
        return
    try:
        run(load(ReaderSettings))
    except UserInformationError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


def run(settings: ReaderSettings) -> None:
    """Answer until told to stop.

    Raises:
        UserInformationError: something stands in the way; its message says what to do.
    """
    logs.configure(settings.log_level)
    properties = understood(settings.kafka_properties, AdminClient)
    held = lock.hold(settings.reader_state_dir / "lock", f"READER_STATE_DIR={settings.reader_state_dir}")
    listener = _listen(settings)
    generations = Generations(settings.reader_state_dir)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(settings, properties, generations, listener))
    finally:
        generations.close()
        held.close()
    logger.info("stopped")


async def _serve(
    settings: ReaderSettings, properties: dict[str, str], generations: Generations, listener: socket.socket
) -> None:
    replicator = Replicator(settings, properties, generations, _runner(asyncio.get_running_loop()))
    app = application(generations.body, lambda: replicator.progress, lambda: replicator.alive)
    config = uvicorn.Config(
        app,
        http="httptools",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    replicator.start()
    host, port = listener.getsockname()[:2]
    logger.info("answering on http://%s:%d/users/{userId}", host, port)
    server = _Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
    await server.serve(sockets=[listener])
    await asyncio.to_thread(replicator.stop)


class _Server(uvicorn.Server):
    """uvicorn, which would otherwise raise the signal again after draining, and so end before the store is closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the event loop."""
        yield


def _listen(settings: ReaderSettings) -> socket.socket:
    try:
        return socket.create_server((settings.reader_host, settings.reader_port), backlog=BACKLOG)
    except OSError as error:
        raise AlreadyRunning(
            f"READER_PORT={settings.reader_port} on READER_HOST={settings.reader_host} cannot be listened on:"
            f" {error.strerror}; another process has it, or set another port (0: any free one)"
        ) from error


def _runner(loop: asyncio.AbstractEventLoop) -> Callable[[Callable[[], None]], None]:
    """Return what runs a function in the event loop, where all reads happen, and waits for it."""

    def run_there(function: Callable[[], None]) -> None:
        done: Future[None] = Future()

        def call() -> None:
            try:
                done.set_result(function())  # type: ignore[func-returns-value]
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                done.set_exception(error)

        loop.call_soon_threadsafe(call)
        done.result()

    return run_there


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not to be had on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
