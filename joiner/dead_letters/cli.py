"""`python -m joiner dead-letters`: list what could not be read, count it by reason, put it back through."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from confluent_kafka.admin import AdminClient

from joiner.dead_letters.letter import DeadLetter, parse_dead_letter, parse_edited
from joiner.dead_letters.replay import Replayer
from joiner.dead_letters.replay_policy import Decision, read_retention_ms
from joiner.kafka import config, topics
from joiner.kafka.scan import scan
from joiner.settings import JoinerSettings
from shared import logs
from shared.clock import now_ms
from shared.errors import SettingError, TopicError
from shared.records import Table
from shared.settings import read_settings

SHOWN_BYTES = 60


class Letterbox:
    """The dead letters of a cluster, and the topics that they came from."""

    def __init__(self) -> None:
        self.settings = read_settings(JoinerSettings)
        logs.configure(self.settings.log_level, self.settings.log_format)
        self._client = config.client_config(self.settings, config.load_properties(self.settings))
        self._admin = AdminClient(self._client)
        there = self._admin.list_topics(timeout=config.REQUEST_SECONDS).topics
        self._partitions = {name: len(topic.partitions) for name, topic in there.items()}

    def letters(self, reason: str | None) -> Iterator[DeadLetter]:
        """Yield the dead letters, oldest first within each partition of their topic."""
        topic = self.settings.dead_letters_topic
        if topic not in self._partitions:
            raise TopicError(f"the topic {topic} (DEAD_LETTERS_TOPIC) does not exist; no joiner has run here yet")
        for message in scan(self._client, topic, range(self._partitions[topic])):
            try:
                letter = parse_dead_letter(message.key(), message.value(), dict(message.headers() or []))
            except (KeyError, ValueError):
                letter = None
            if letter is not None and reason in (None, letter.reason):
                yield letter

    def replayer(self) -> Replayer:
        """Return what plans and does replays here."""
        return Replayer(self._client, self._sources, self._partitions)

    def remembers_ms(self) -> dict[str, float]:
        """Return for how long each source topic remembers deletions."""
        configs = topics.describe_configs(self._admin, self._sources)
        return {topic: read_retention_ms(config) for topic, config in configs.items()}

    @property
    def _sources(self) -> dict[str, Table]:
        return {topic: table for topic, table in self.settings.sources.items() if topic in self._partitions}

    def parse_edited(self, lines: Path) -> list[DeadLetter]:
        """Return the letters of a file, each compared with what its topic has.

        Raises:
            SettingError: a line is no letter; names it.
        """
        originals = {
            (each.letter.topic, each.letter.partition, each.letter.offset): each for each in self.letters(None)
        }
        letters = []
        for number, line in enumerate(lines.read_text().splitlines(), 1):
            try:
                document = json.loads(line)
                place = document["topic"], document["partition"], document["offset"]
                letters.append(parse_edited(document, originals.get(place)))
            except (KeyError, ValueError, TypeError) as error:
                raise SettingError(f"{lines}:{number} is no dead letter as --json prints it: {error!r}") from error
        return letters


@click.group(name="dead-letters", invoke_without_command=True)
@click.option("--reason", help="Only those of one reason, such as bad-json.")
@click.option("--limit", default=20, show_default=True, help="How many of the newest to list.")
@click.option("--json", "as_json", is_flag=True, help="All of them, one JSON object a line, to mend and to replay.")
@click.pass_context
def dead_letters(context: click.Context, reason: str | None, limit: int, *, as_json: bool) -> None:
    """List the source records that no row could be read from, and count them by reason."""
    if context.invoked_subcommand is not None:
        return
    letters = list(Letterbox().letters(reason))
    if as_json:
        for letter in letters:
            click.echo(json.dumps(letter.to_json(), ensure_ascii=False))
        return
    for name, count in Counter(letter.reason for letter in letters).most_common():
        click.echo(f"{count:>8}  {name}")
    click.echo(f"{len(letters):>8}  in all")
    for letter in letters[len(letters) - limit :] if limit > 0 else []:
        click.echo(f"{letter.letter.place}  {letter.reason}: {letter.detail}  key={_shorten(letter.letter.key)}")


@dead_letters.command()
@click.option("--reason", help="Only those of one reason, such as bad-json.")
@click.option(
    "--from",
    "lines",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Letters out of a file that `dead-letters --json` printed and you have mended, in place of the topic's.",
)
@click.option(
    "--even-if-forgotten",
    is_flag=True,
    help="Write those too that are too old to know; rows that were deleted since come back.",
)
@click.option("--yes", is_flag=True, help="Do it; without, only say what would be done.")
def replay(reason: str | None, lines: Path | None, *, even_if_forgotten: bool, yes: bool) -> None:
    """Write dead letters to their source topics again, where a row can be read from them now.

    A letter is left out where its topic holds a newer record of the same row, so that nothing old takes the place of
    anything new. What was replayed once is such a newer record: running this twice does no harm.

    A letter is too old to know where the row may have been deleted since and the topic may have forgotten that, because
    its delete.retention.ms (where it is not compacted, its retention.ms) is over. Look into the database, and write
    those whose rows are still there with --from and --even-if-forgotten.

    If this is killed after --yes, rows that their source wrote in the same moment may show what the letters say until
    the source writes them again.
    """
    box = Letterbox()
    letters = (
        list(box.letters(reason))
        if lines is None
        else [x for x in box.parse_edited(lines) if reason in (None, x.reason)]
    )
    replayer = box.replayer()
    remembers_ms = box.remembers_ms()
    if even_if_forgotten:
        remembers_ms = dict.fromkeys(remembers_ms, math.inf)
    decisions = replayer.plan(letters, remembers_ms, now_ms())
    for line in _describe_decisions(decisions):
        click.echo(line)
    if yes:
        click.echo(f"{replayer.do(decisions)} written to their source topics again.")
    elif any(decision.fate == "replay" for decision in decisions):
        click.echo("Nothing is written yet; do it with --yes.")


def _describe_decisions(decisions: Iterable[Decision]) -> Iterator[str]:
    counts: Counter[str] = Counter()
    for decision in decisions:
        counts[decision.fate] += 1
        why = f" {decision.detail}" if decision.detail else ""
        yield f"{decision.filed.letter.place}  {decision.fate}{why}"
    for fate, count in counts.most_common():
        yield f"{count:>8}  {fate}"


def _shorten(content: bytes | None) -> str:
    if content is None:
        return "null"
    text = content[:SHOWN_BYTES].decode(errors="replace")
    return repr(text) + ("…" if len(content) > SHOWN_BYTES else "")
