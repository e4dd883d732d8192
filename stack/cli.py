"""`python -m stack`: the local stack from the command line."""

import signal
import sys
from pathlib import Path

import click
import psycopg
from confluent_kafka import KafkaException

from doctor.cli import main as doctor
from shared.cli import Program
from shared.kafka import to_kafka_error
from shared.progress import ProgressBar
from shared.settings import describe_settings, read_settings
from stack.errors import to_stack_error
from stack.local import Servers
from stack.run import RunSettings
from stack.run import run as run_everything
from stack.seed import load_files
from stack.settings import StackSettings
from stack.traffic import keep_changing


def _say(line: str) -> None:
    click.echo(line)


@click.group(epilog=f"\b\nSettings, all environment variables:\n{describe_settings(RunSettings)}")
def main() -> None:
    """Real Kafka, PostgreSQL and Kafka Connect with Debezium on this machine, for trying and testing the service."""
    signal.signal(signal.SIGINT, _interrupt)


# Another name for `python -m doctor`, so that the stack has all its commands in one place.
main.add_command(doctor, "doctor")


@main.command()
def up() -> None:
    """Start Kafka, PostgreSQL and Kafka Connect in the background; those that run already are left alone."""
    servers = Servers(read_settings(StackSettings))
    servers.fetch(_say)
    for server in servers.all:
        servers.start(server, _say, detached=True)


@main.command()
def down() -> None:
    """Stop what `up` started; keep the data."""
    for server in reversed(Servers(read_settings(StackSettings)).all):
        _say(f"{server.command.name} {'stopped' if server.stop() else 'did not run'}")


@main.command()
def status() -> None:
    """Show which servers run and answer; exit status 1 if one does not."""
    servers = Servers(read_settings(StackSettings)).read_status()
    for name, pid, port, answers, problem in servers:
        state = "answers" if answers else "does not answer" if pid else "is not running"
        _say(f"{name:14} {state:16} port {port:<6} process {pid or '-'}")
        if problem is not None:
            _say(problem)
    sys.exit(0 if all(server.answers for server in servers) else 1)


@main.command()
@click.option("--count", default=10_000, show_default=True, help="How many made-up users to write.")
@click.option("--users", type=click.Path(path_type=Path), help="CSV file of rows for the table users.")
@click.option("--tweets", type=click.Path(path_type=Path), help="CSV file of rows for the table tweets.")
@click.option("--follows", type=click.Path(path_type=Path), help="CSV file of rows for the table follows.")
@click.option("--likes", type=click.Path(path_type=Path), help="CSV file of rows for the table likes.")
def seed(count: int, **files: Path | None) -> None:
    """Fill the tables with a believable population, or from your CSV files.

    A file's first line names columns of its table, including the primary key; other columns become NULL. A row replaces
    one with the same primary key. The population is only written into empty tables.
    """
    servers = Servers(read_settings(StackSettings))
    dsn = servers.postgres.dsn
    given = {table: file for table, file in files.items() if file is not None}
    if given:
        for table, rows in load_files(dsn, given).items():
            _say(f"{table}: {rows:,} rows")
        return
    written = servers.example.populate(dsn, count)
    _say(f"wrote {written:,} rows" if written else "there are rows already; nothing written")


@main.command("load")
@click.option("--rate", type=click.FloatRange(min=0.01), default=50, show_default=True, help="Changes a second.")
@click.option("--seconds", type=click.FloatRange(min=0), help="For how long; default: until Ctrl-C.")
def load_command(rate: float, seconds: float | None) -> None:
    """Keep changing rows: insert, edit, unfollow, delete."""
    servers = Servers(read_settings(StackSettings))
    done = keep_changing(servers.postgres.dsn, rate, seconds, _say, changes=servers.example.changes)
    _say(f"{done} changes made")


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> None:
    """Run psql on the database; all arguments go to psql, such as -c "SELECT …"."""
    sys.exit(Servers(read_settings(StackSettings)).postgres.psql(arguments))


@main.command()
@click.option("--users", default=10_000, show_default=True, help="How many users to write into empty tables.")
@click.option("--load", "rate", type=click.FloatRange(min=0), default=0, show_default=True, help="Changes a second.")
@click.option(
    "--shards", type=click.IntRange(min=1), default=1, show_default=True, help="Readers that share the users."
)
def run(users: int, rate: float, shards: int) -> None:
    """Start everything, seed, serve; Ctrl-C stops all that it started. `make run` does this."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        run_everything(users, rate, shards, ProgressBar("user-info", sys.stdout))
    except KeyboardInterrupt:
        _say("stopped")


def _interrupt(*_: object) -> None:
    # One order to stop is enough: a second one must not cut the stopping short.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


PROGRAM = Program(main, {KafkaException: to_kafka_error, psycopg.OperationalError: to_stack_error})
