"""`python -m bench fuzz`: random clients of a reader, by its own description and on raw sockets, for a set time."""

import sys
import tempfile
from http import HTTPStatus
from pathlib import Path

import click

from bench.errors import MeasurementError
from bench.fuzz import openapi, sockets
from bench.reader import services, topic
from stack.servers.kafka import Kafka
from stack.servers.process import Command

TOPIC = "user-info"
USERS = 1_000
TURN_SECONDS = 60


@click.command()
@click.option("--minutes", default=10.0, show_default=True, help="How long, both fuzzers together.")
@click.option("--seed", default=1, show_default=True, help="Of all that is sent; each turn takes the next one.")
def fuzz(minutes: float, seed: int) -> None:
    """Send a reader what strangers may send, and check every answer.

    Two fuzzers take turns: Schemathesis asks for what /openapi.json describes and for what it does not, and one of our
    own sends what is nearly HTTP on raw sockets. Stops at the first answer that is not as it should be.
    """
    with tempfile.TemporaryDirectory(prefix="bench-fuzz-") as name, Kafka(Path(name) / "kafka") as kafka:
        servers = kafka.bootstrap_servers
        topic.create_topic(servers, TOPIC)
        topic.fill_topic(servers, TOPIC, topic.invent_records(USERS), click.echo)
        service = services.reader_service(Path(name) / "reader", servers, TOPIC)
        service.command.start(lambda: services.get(service.port, "/readyz")[0] == HTTPStatus.OK)
        try:
            _take_turns(service.command, service.port, Path(name), minutes * 60, seed)
        finally:
            service.command.stop()
    click.echo("nothing found")


def _take_turns(reader: Command, port: int, folder: Path, seconds: float, seed: int) -> None:
    """Let the fuzzers take turns."""
    turns = max(1, round(seconds / TURN_SECONDS / 2))
    turn = max(1, round(seconds / turns / 2))
    for number in range(turns):
        click.echo(f"by description, seed {seed + number}: ", nl=False)
        click.echo(openapi.fuzz(port, folder, seed + number, seconds=turn))
        click.echo(f"on sockets, seed {seed + number}: ", nl=False)
        tally = sockets.fuzz(port, seed + number, turn, lambda: reader.find_process() is not None)
        click.echo(f"{tally.connections:,} connections, answers {dict(sorted(tally.statuses.items()))}")
        if "Traceback" in reader.log.read_text(errors="replace"):
            raise MeasurementError(f"the reader's log has a traceback; {reader.read_last_lines()}")
        sys.stdout.flush()
