"""`python -m joiner view`: what the joiner makes of the view, as SQL, and whether the topics carry it."""

import sys
from collections.abc import Iterator

import click
from confluent_kafka.admin import AdminClient

from joiner.core.view_report import check_columns, describe_view
from joiner.kafka import config
from joiner.kafka.newest_rows import read_newest_rows
from joiner.kafka.topics import count_partitions
from joiner.registry.decoders import QUIET_LOGGERS, open_decoder
from joiner.settings import JoinerSettings
from shared import logs
from shared.settings import read_settings
from shared.view.sql import DIALECTS, Dialect, to_sql


@click.command()
@click.option("--sql", is_flag=True, help="Print the SELECT that says what the records are.")
@click.option(
    "--dialect", type=click.Choice(DIALECTS), default="postgresql", show_default=True, help="Of which database."
)
@click.option("--check", is_flag=True, help="Read the newest rows of each topic, and say which columns they lack.")
def view(*, sql: bool, dialect: Dialect, check: bool) -> None:
    """Show the view: its record with an example, the columns that each topic must carry, and what its state costs.

    USER_INFO_VIEW names its file; without it, it is the built-in one. --check reads a few hundred records of each topic
    partition, and ends with exit status 1 if a topic is missing, or a column in all of its rows. The rest needs no
    Kafka.
    """
    if sql and check:
        raise click.UsageError("--sql and --check exclude each other")
    settings = read_settings(JoinerSettings)
    if sql:
        click.echo(f"{to_sql(settings.view, dialect)};")
    elif check:
        logs.configure(settings.log_level, settings.log_format, QUIET_LOGGERS)
        findings = list(_check_topics(settings))
        for verdict, topic, what in findings:
            click.echo(f"{verdict:7}  {topic}: {what}")
        sys.exit(1 if "missing" in {verdict for verdict, *_ in findings} else 0)
    else:
        for line in describe_view(settings.view, settings.sources):
            click.echo(line)


def _check_topics(settings: JoinerSettings) -> Iterator[tuple[str, str, str]]:
    """Yield for each topic a verdict, its name, and what is missing."""
    client = config.client_config(settings, config.load_properties(settings))
    admin = AdminClient(client)
    existing = count_partitions(admin)
    avro = open_decoder(settings)
    for topic, source in settings.sources.items():
        if topic not in existing:
            yield "missing", topic, "the topic does not exist"
            continue
        rows = list(read_newest_rows(admin, client, topic, existing[topic], source.key[0], avro=avro))
        if not rows:
            yield "unknown", topic, "its newest records hold no row"
            continue
        lacking = check_columns(settings.view.columns_of(source), rows)
        for column, count in lacking.items():
            yield "partly" if count else "missing", topic, f"{column} is in {count} of {len(rows)} rows"
        if not lacking:
            yield "well", topic, f"each column is in {len(rows)} of {len(rows)} rows"
