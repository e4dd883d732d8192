"""`python -m joiner dead-letters`: lists unreadable source records, counts them by reason, writes them again."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from confluent_kafka.admin import AdminClient

from joiner.core.compatibility import LedgerNotes
from joiner.core.plan import Table
from joiner.dead_letters.letter import DeadLetter, parse_dead_letter, parse_edited
from joiner.dead_letters.replay import Replayer
from joiner.dead_letters.replay_policy import Decision, read_retention_ms
from joiner.kafka import config, topic_checks
from joiner.kafka.ledger import Ledger
from joiner.kafka.scan import scan
from joiner.registry.decoders import QUIET_LOGGERS, open_decoder
from joiner.settings import JoinerSettings
from shared import logs
from shared.clock import now_ms
from shared.errors import SettingError, TopicError
from shared.settings import read_settings

SHOWN_BYTES = 60
"""How much of a key is printed in a list."""


class Letterbox:
    """The dead letters of a cluster, and the source topics that they came from."""

    def __init__(self) -> None:
        self.settings = read_settings(JoinerSettings)
        logs.configure(self.settings.log_level, self.settings.log_format, QUIET_LOGGERS)
        self._client = config.client_config(self.settings, config.load_properties(self.settings))
        self._admin = AdminClient(self._client)
        existing = self._admin.list_topics(timeout=config.REQUEST_SECONDS).topics
        self._partitions = {name: len(topic.partitions) for name, topic in existing.items()}

    def read_letters(self, reason: str | None) -> Iterator[DeadLetter]:
        """Yield the dead letters, oldest first within each partition of their topic.

        Args:
            reason: only those with this reason; None: all.

        Raises:
            TopicError: their topic does not exist.
        """
        topic = self.settings.dead_letters_topic
        if topic not in self._partitions:
            raise TopicError(
                f"the topic {topic} (DEAD_LETTERS_TOPIC) does not exist; no joiner has run here yet",
                hint="start one, or check DEAD_LETTERS_TOPIC and KAFKA_BOOTSTRAP_SERVERS",
            )
        for message in scan(self._client, topic, range(self._partitions[topic])):
            try:
                letter = parse_dead_letter(message.key(), message.value(), dict(message.headers() or []))
            except (KeyError, ValueError):
                letter = None
            if letter is not None and reason in (None, letter.reason):
                yield letter

    def open_replayer(self) -> Replayer:
        """Return what plans and does replays on this cluster."""
        ledger = self.settings.ledger_topic
        noted = Ledger(self._client, ledger).read() if ledger in self._partitions else LedgerNotes()
        avro = open_decoder(self.settings)
        return Replayer(self._client, self._sources, self._partitions, noted.key_forms, avro=avro)

    def read_remembers_ms(self) -> dict[str, float]:
        """Return source topic -> how long it remembers deletions."""
        configs = topic_checks.describe_configs(self._admin, self._sources)
        return {topic: read_retention_ms(config) for topic, config in configs.items()}

    @property
    def _sources(self) -> dict[str, Table]:
        return {topic: table for topic, table in self.settings.tables.items() if topic in self._partitions}

    def read_edited(self, file: Path) -> list[DeadLetter]:
        """Return the letters of a file, each compared with what the topic holds.

        Raises:
            SettingError: a line is not a dead letter; names it.
        """
        originals = {
            (each.record.topic, each.record.partition, each.record.offset): each for each in self.read_letters(None)
        }
        letters = []
        for number, line in enumerate(file.read_text().splitlines(), 1):
            try:
                document = json.loads(line)
                location = document["topic"], document["partition"], document["offset"]
                letters.append(parse_edited(document, originals.get(location)))
            except (KeyError, ValueError, TypeError) as error:
                raise SettingError(
                    f"{file}:{number} is not a dead letter as --json prints it: {error!r}",
                    hint="correct the line, or print the letters again",
                ) from error
        return letters


@click.group(name="dead-letters", invoke_without_command=True)
@click.option("--reason", help="Only letters with this reason, such as bad-json.")
@click.option("--limit", default=20, show_default=True, help="How many of the newest letters to list.")
@click.option("--json", "as_json", is_flag=True, help="Print all letters, one JSON object a line, to edit and replay.")
@click.pass_context
def dead_letters(context: click.Context, reason: str | None, limit: int, *, as_json: bool) -> None:
    """List the source records that no row could be read from, and count them by reason."""
    if context.invoked_subcommand is not None:
        return
    letters = list(Letterbox().read_letters(reason))
    if as_json:
        for letter in letters:
            click.echo(json.dumps(letter.to_json(), ensure_ascii=False))
        return
    for name, count in Counter(letter.reason for letter in letters).most_common():
        click.echo(f"{count:>8}  {name}")
    click.echo(f"{len(letters):>8}  in all")
    for letter in letters[len(letters) - limit :] if limit > 0 else []:
        click.echo(f"{letter.record.location}  {letter.reason}: {letter.detail}  key={_shorten(letter.record.key)}")


@dead_letters.command()
@click.option("--reason", help="Only letters with this reason, such as bad-json.")
@click.option(
    "--from",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the letters from a file that `dead-letters --json` printed and you edited, not from the topic.",
)
@click.option(
    "--even-if-forgotten",
    is_flag=True,
    help="Also write letters that are too old to know; rows deleted since then come back.",
)
@click.option("--yes", is_flag=True, help="Write the letters; without it, only show what would be done.")
def replay(reason: str | None, file: Path | None, *, even_if_forgotten: bool, yes: bool) -> None:
    """Write dead letters to their source topics again, if a row can be read from them now.

    A letter is left out if its topic holds a newer record of the same row, so nothing old replaces anything new. A
    letter that was replayed is such a newer record, so running this twice does no harm.

    A letter under a key of another form than its topic's keys have is left out, since it would end the joiners; edit
    its key.

    A letter is too old to know if its row may have been deleted since and the topic may have forgotten the deletion:
    the topic's delete.retention.ms (or its retention.ms, if it is not compacted) has passed. Check the database, and
    write the letters whose rows still exist with --from and --even-if-forgotten.

    If this command is killed after --yes, rows that their source wrote at the same moment may show what the letters
    say, until the source writes them again.
    """
    box = Letterbox()
    letters = (
        list(box.read_letters(reason))
        if file is None
        else [letter for letter in box.read_edited(file) if reason in (None, letter.reason)]
    )
    replayer = box.open_replayer()
    remembers_ms = box.read_remembers_ms()
    if even_if_forgotten:
        remembers_ms = dict.fromkeys(remembers_ms, math.inf)
    decisions = replayer.plan(letters, remembers_ms, now_ms())
    for line in _describe_decisions(decisions):
        click.echo(line)
    if yes:
        click.echo(f"{replayer.do(decisions)} written to their source topics again.")
    elif any(decision.outcome == "replay" for decision in decisions):
        click.echo("Nothing is written yet; add --yes to write them.")


def _describe_decisions(decisions: Iterable[Decision]) -> Iterator[str]:
    counts: Counter[str] = Counter()
    for decision in decisions:
        counts[decision.outcome] += 1
        detail = f" {decision.detail}" if decision.detail else ""
        yield f"{decision.letter.record.location}  {decision.outcome}{detail}"
    for outcome, count in counts.most_common():
        yield f"{count:>8}  {outcome}"


def _shorten(content: bytes | None) -> str:
    if content is None:
        return "null"
    text = content[:SHOWN_BYTES].decode(errors="replace")
    return repr(text) + ("…" if len(content) > SHOWN_BYTES else "")
