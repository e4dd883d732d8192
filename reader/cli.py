"""`python -m reader` and its commands: `snapshot`, `inspect`, `verify`."""

import click

from reader import service
from reader.admin import cli
from reader.settings import ReaderSettings
from replication.kafka.errors import TRANSLATIONS
from shared.cli import Program
from shared.settings import describe_settings, read_settings


@click.group(
    invoke_without_command=True,
    epilog=f"\b\nSettings, all environment variables:\n{describe_settings(ReaderSettings)}\n"
    "  KAFKA_<PROPERTY>\n      Any property of librdkafka, such as KAFKA_SECURITY_PROTOCOL=ssl.",
    context_settings={"max_content_width": 100},
)
@click.pass_context
def main(context: click.Context) -> None:
    """Serve GET /users/{userId} from a local copy of the topic user-info.

    Responds 503 until it has caught up with the topic. From then on it serves its copy, even if Kafka fails. Runs until
    SIGTERM or SIGINT. For more throughput set READER_WORKERS, or start more readers, each with its own READER_STATE_DIR
    and READER_PORT.
    """
    if context.invoked_subcommand is None:
        service.run(read_settings(ReaderSettings))


main.add_command(cli.snapshot)
main.add_command(cli.inspect)
main.add_command(cli.verify)

PROGRAM = Program(main, TRANSLATIONS)
