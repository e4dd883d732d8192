"""`python -m bench`: measurements from the command line; each subcommand is a module of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from bench.chaos.cli import chaos
from bench.charts import charts
from bench.fuzz.cli import fuzz
from bench.joiner.cli import joiner
from bench.reader.cli import reader
from bench.reader.store import store
from bench.service.freshness import freshness
from bench.service.visibility import visibility
from shared.errors import UserInformationError


@contextmanager
def clear_errors() -> Iterator[None]:
    """End with a message and status 1, or quietly on Ctrl-C, where a measurement cannot go on."""
    try:
        yield
    except UserInformationError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@click.group()
def commands() -> None:
    """Measure the service on this machine, on servers of the measurement's own, beside what else could do the job."""


commands.add_command(chaos)
commands.add_command(charts)
commands.add_command(freshness)
commands.add_command(fuzz)
commands.add_command(joiner)
commands.add_command(reader)
commands.add_command(store)
commands.add_command(visibility)


def main() -> None:
    """Run the subcommand that was asked for."""
    with clear_errors():
        commands()


if __name__ == "__main__":
    main()
