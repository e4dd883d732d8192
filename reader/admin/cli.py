"""`python -m reader snapshot | inspect | verify`: commands for a reader's copy, also while the reader runs."""

import json
import sys
from pathlib import Path

import click

from reader.admin import inspection
from reader.settings import ReaderSettings
from reader.storage.records import FORMAT
from reader.storage.snapshot import take
from replication.kafka.config import check_credentials, validate_properties
from replication.kafka.topic import TopicClient
from shared.progress import ProgressBar
from shared.settings import read_settings

SHOWN = 20


@click.command()
@click.argument("target", metavar="DIR", type=click.Path(path_type=Path))
def snapshot(target: Path) -> None:
    """Write a consistent, checksummed snapshot of READER_STATE_DIR to DIR; the reader may run.

    A reader with an empty READER_STATE_DIR starts from it if READER_SNAPSHOT names it, and catches up with the topic.
    """
    with ProgressBar(f"copying to {target}") as bar:
        manifest = take(read_settings(ReaderSettings).reader_state_dir, target, bar.show)
    click.echo(f"{target}: {manifest['records']:,} records, {manifest['bytes']:,} bytes, {manifest['sha256']}")


@click.command()
@click.argument("user", required=False)
def inspect(user: str | None) -> None:
    """Show as JSON what READER_STATE_DIR holds; with USER, that user's position in the topic and stored bytes."""
    state = read_settings(ReaderSettings).reader_state_dir
    if user is None:
        click.echo(json.dumps(inspection.summarize(state), indent=2))
        return
    record = inspection.find_stored(state, user.encode(errors="surrogateescape"))
    if record is None or record.value is None:
        click.echo(f"no user {user!r}", err=True)
        sys.exit(1)
    place = {
        "partition": record.partition,
        "offset": record.offset,
        "timestampMs": record.timestamp_ms if record.timestamp_ms >= 0 else None,
    }
    click.echo(json.dumps({**place, "bytes": len(record.value)}))
    click.echo(record.value)


@click.command()
def verify() -> None:
    """Compare READER_STATE_DIR with the topic, record by record, up to its offsets; exit status 1 if they differ."""
    settings = read_settings(ReaderSettings)
    properties = validate_properties(settings.kafka_properties)
    check_credentials(settings.kafka_bootstrap_servers, properties)
    topic = TopicClient(settings.kafka_bootstrap_servers, settings.user_info_topic, properties, FORMAT, settings.shard)
    with ProgressBar("comparing") as bar:
        records, differences = inspection.verify(settings.reader_state_dir, topic, bar.show)
    for key, difference in sorted(differences.items())[:SHOWN]:
        click.echo(f"user {key.decode(errors='backslashreplace')!r}: {difference}")
    click.echo(f"{records:,} records compared, {len(differences):,} differences")
    if differences:
        click.echo("stop the reader, delete its READER_STATE_DIR and start it; it replays the topic", err=True)
        sys.exit(1)
