"""`python -m poller` and its command `sql`."""

import sqlite3

import click
import psycopg
from confluent_kafka import KafkaException

from poller import service
from poller.errors import to_database_error, to_state_error
from poller.settings import PollerSettings
from poller.tables import installation
from shared.cli import Program
from shared.kafka import to_kafka_error
from shared.settings import describe_settings, read_settings


@click.group(
    invoke_without_command=True,
    epilog=f"\b\nSettings, all environment variables:\n{describe_settings(PollerSettings)}\n"
    "  KAFKA_<PROPERTY>\n      Any property of librdkafka, such as KAFKA_SECURITY_PROTOCOL=ssl.",
    context_settings={"max_content_width": 100},
)
@click.pass_context
def main(context: click.Context) -> None:
    """Capture a view's tables by polling PostgreSQL, where logical decoding is not allowed.

    Writes rows into the source topics that the joiner reads, and loses none, however late its transaction commits.
    Needs what `python -m poller sql` prints. Runs until SIGTERM or SIGINT.
    """
    if context.invoked_subcommand is None:
        service.run(read_settings(PollerSettings))


@main.command()
def sql() -> None:
    """Print the statements that the tables' owner runs once: a column, a trigger and an index for each table."""
    for statement in installation(read_settings(PollerSettings).view):
        click.echo(statement)


PROGRAM = Program(
    main,
    {KafkaException: to_kafka_error, psycopg.Error: to_database_error, sqlite3.Error: to_state_error},
)
