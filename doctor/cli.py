"""`python -m doctor`: a deployment checked from the command line."""

import sys
from itertools import chain

import click
from confluent_kafka import KafkaException

from doctor.checks import DoctorSettings, Verdict
from doctor.probes import probe, probe_rows
from shared.cli import Program
from shared.kafka import to_kafka_error
from shared.settings import describe_settings, read_settings


@click.command(
    epilog=f"\b\nSettings, all environment variables:\n{describe_settings(DoctorSettings)}\n"
    "  KAFKA_<PROPERTY>\n      Any property of librdkafka, such as KAFKA_SECURITY_PROTOCOL=ssl.",
    context_settings={"max_content_width": 100},
)
@click.option(
    "--connector",
    multiple=True,
    default=["http://127.0.0.1:8083/connectors/user-info"],
    show_default=True,
    help="URL of a connector.",
)
@click.option(
    "--joiner", multiple=True, default=["http://127.0.0.1:8001"], show_default=True, help="Address of a joiner."
)
@click.option(
    "--reader", multiple=True, default=["http://127.0.0.1:8000"], show_default=True, help="Address of a reader."
)
@click.option(
    "--rows",
    is_flag=True,
    help="Also read the source topics, whole: are there rows in two partitions, or keys of two forms? Takes some"
    " 10 s for a million records, and 150 MB for a million rows of one topic.",
)
def main(connector: tuple[str, ...], joiner: tuple[str, ...], reader: tuple[str, ...], *, rows: bool) -> None:
    """Check a deployment from the outside: say what is wrong and how to fix it, and change nothing.

    Kafka and the topics are those of the tiers' own variables: KAFKA_BOOTSTRAP_SERVERS and other KAFKA_…, USERS_TOPIC
    and so on. Each option may be given several times. Exit status 1 if something is wrong.
    """
    settings = read_settings(DoctorSettings)
    verdicts = set()
    for finding in chain(probe(settings, connector, joiner, reader), probe_rows(settings, _report) if rows else ()):
        click.echo(f"{finding.verdict:9} {finding.what}")
        if finding.hint:
            click.echo(f"{'':9} fix: {finding.hint}")
        verdicts.add(finding.verdict)
    sys.exit(1 if Verdict.WRONG in verdicts else 0)


def _report(topic: str, records: int) -> None:
    """Show how far a long reading is, to people only."""
    if sys.stderr.isatty():
        click.echo(f"{topic}: {records:,} records read", err=True)


PROGRAM = Program(main, {KafkaException: to_kafka_error})
