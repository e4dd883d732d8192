"""`python -m bench`: the measurements; each is a module of its own."""

import click
import psycopg
from confluent_kafka import KafkaException

from bench.build.cli import build
from bench.chaos.cli import chaos
from bench.charts import charts
from bench.fuzz.cli import fuzz
from bench.joiner.cli import joiner
from bench.poller.cli import poller
from bench.reader.cli import reader
from bench.reader.pages import pages
from bench.reader.shards import shards
from bench.reader.store import store
from bench.service.freshness import freshness
from bench.service.visibility import visibility
from bench.sink.cli import sink
from shared.cli import Program
from shared.kafka import to_kafka_error
from stack.errors import to_stack_error


@click.group()
def commands() -> None:
    """Measure the service on this machine, on servers of its own, next to other programs that could do the job."""


commands.add_command(build)
commands.add_command(chaos)
commands.add_command(charts)
commands.add_command(freshness)
commands.add_command(fuzz)
commands.add_command(joiner)
commands.add_command(pages)
commands.add_command(poller)
commands.add_command(reader)
commands.add_command(shards)
commands.add_command(sink)
commands.add_command(store)
commands.add_command(visibility)

PROGRAM = Program(commands, {KafkaException: to_kafka_error, psycopg.OperationalError: to_stack_error})
