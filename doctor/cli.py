"""`python -m doctor`: a deployment checked from the command line."""

import sys

import click
from confluent_kafka import KafkaException

from doctor.checks import DoctorSettings, Verdict
from doctor.probes import probe
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
def main(connector: tuple[str, ...], joiner: tuple[str, ...], reader: tuple[str, ...]) -> None:
    """Check a deployment from the outside: say what is wrong and how to fix it, and change nothing.

    Kafka and the topics are those of the tiers' own variables: KAFKA_BOOTSTRAP_SERVERS and other KAFKA_…, USERS_TOPIC
    and so on. Each option may be given several times. Exit status 1 if something is wrong.
    """
    verdicts = set()
    for finding in probe(read_settings(DoctorSettings), connector, joiner, reader):
        click.echo(f"{finding.verdict:9} {finding.what}")
        if finding.hint:
            click.echo(f"{'':9} fix: {finding.hint}")
        verdicts.add(finding.verdict)
    sys.exit(1 if Verdict.WRONG in verdicts else 0)


PROGRAM = Program(main, {KafkaException: to_kafka_error})
