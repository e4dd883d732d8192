"""`python -m reader`: read the settings, take the locks, follow the topic, answer until told to stop."""

import asyncio
import gc
import logging
import socket
import sys
from pathlib import Path

import click
from confluent_kafka.admin import AdminClient

from reader import commands, web_events, web_page
from reader.answers import Answers
from reader.counts import Traffic
from reader.events import Events
from reader.generations import Generations, refuse_foreign
from reader.metrics import exposition
from reader.replicator import Replicator
from reader.serving import limits_of, listen, loop_factory, runner, serve
from reader.settings import ReaderSettings
from reader.snapshot import SnapshotRefused, install
from reader.web import Application
from shared import lock, logs
from shared.errors import UserInformationError
from shared.kafka import understood
from shared.settings import help_text, load

logger = logging.getLogger("reader")


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
    refuse_foreign(settings.reader_state_dir)
    held = lock.hold(settings.reader_state_dir / "lock", f"READER_STATE_DIR={settings.reader_state_dir}")
    listener = listen(settings)
    if settings.reader_snapshot is not None:
        _start_from(settings.reader_snapshot, settings.reader_state_dir)
    generations = Generations(settings.reader_state_dir)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(settings, properties, generations, listener))
    finally:
        generations.close()
        held.close()
    logger.info("stopped")


def _start_from(snapshot: Path, state: Path) -> None:
    try:
        if install(snapshot, state):
            logger.info("starting from the snapshot %s", snapshot)
    except SnapshotRefused as refusal:
        logger.warning("the snapshot %s is refused: %s; the topic is replayed instead", snapshot, refusal)


async def _serve(
    settings: ReaderSettings, properties: dict[str, str], generations: Generations, listener: socket.socket
) -> None:
    """Follow the topic in a thread, and answer here."""
    loop = asyncio.get_running_loop()
    answers = Answers(generations.view, lambda: replicator.progress, loop.call_soon)
    replicator = Replicator(settings, properties, generations, runner(loop, answers.release))
    events = Events(generations.view, lambda: replicator.progress, settings.reader_max_streams)
    traffic = Traffic()
    application = Application(
        answers,
        progress=lambda: replicator.progress,
        alive=lambda: replicator.alive,
        metrics=lambda: exposition([traffic], replicator.standing()),
        traffic=traffic,
        routes=[*web_events.routes(events), *web_page.routes()],
        origins=settings.origins,
    )

    def stop() -> None:
        replicator.stopping.set()
        events.close()

    # What lives as long as the process is looked through no more: a full collection would hold answers up.
    gc.collect()
    gc.freeze()
    replicator.start()
    await serve(application, listener, limits_of(settings), stop)
    await asyncio.to_thread(replicator.stop)


main.add_command(commands.snapshot)
main.add_command(commands.inspect)
main.add_command(commands.verify)

if __name__ == "__main__":
    main()
