"""Which dead letters are written to their source topics again, and why the others are not.

A letter is never written where something newer is known of its row, nor where something newer may have been forgotten.
If a topic no longer holds the deletion of a row, the letter would bring that row back for good.
Pure: it is given what topics hold, and knows no client library.
"""

import math
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from joiner.core.differences import check_sums
from joiner.core.key_forms import describe_change, read_form
from joiner.core.plan import Table
from joiner.core.rows import parse_row
from joiner.dead_letters.letter import DeadLetter
from shared.errors import BadRow

if TYPE_CHECKING:
    from joiner.core.avro import AvroDecoder

Outcome: TypeAlias = Literal[
    "replay", "still unreadable", "another form of key", "superseded", "too old to know", "not of a source topic", "cut"
]
"""What is decided about a letter, as the command prints it; only "replay" writes it."""


class Decision(NamedTuple):
    """What is decided about a letter.

    Args:
        letter: the letter.
        outcome: whether it is written again, or why not.
        row_id: its row, where one can be read.
        detail: what prevents it, for people.
        partition: where it is written; None lets Java's partitioner choose, as connectors do.
    """

    letter: DeadLetter
    outcome: Outcome
    row_id: str | None = None
    detail: str = ""
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class NewestRecord:
    """The newest record that one partition holds of one row."""

    partition: int
    offset: int
    time_ms: int


def decide_all(
    letters: Iterable[DeadLetter],
    tables: Mapping[str, Table],
    key_forms: Mapping[str, Collection[str]],
    avro: "AvroDecoder | None" = None,
) -> list[Decision]:
    """Decide which letters a row can be read from now; of several about one row only the newest is written.

    Args:
        letters: in the order in which they were received.
        tables: source topic -> the table whose rows it holds.
        key_forms: source topic -> the forms of its keys, as the group has noted them.
        avro: reads Avro; None: no schema registry is known.

    Raises:
        RegistryAway: a schema cannot be had yet.
    """
    forms = dict(key_forms)
    decisions: list[Decision] = []
    latest: dict[tuple[str, str], int] = {}
    for letter in letters:
        decision = _decide(letter, tables, forms, avro)
        if decision.outcome == "replay" and decision.row_id is not None:
            row = letter.record.topic, decision.row_id
            if row in latest:
                older = decisions[latest[row]]
                decisions[latest[row]] = older._replace(
                    outcome="superseded", detail="by a newer letter of the same row"
                )
            latest[row] = len(decisions)
        decisions.append(decision)
    return _supersede_unreadable(decisions)


def _supersede_unreadable(decisions: list[Decision]) -> list[Decision]:
    """Leave out letters behind which the same key came again, if no row can be read from what came: it is newer."""
    newer: dict[tuple[str, int, bytes], int] = {}
    for decision in decisions:
        record, key = decision.letter.record, decision.letter.source_key
        if decision.outcome == "still unreadable" and key is not None:
            newer[record.topic, record.partition, key] = record.offset

    def check(decision: Decision) -> Decision:
        record, key = decision.letter.record, decision.letter.source_key
        offset = -1 if key is None else newer.get((record.topic, record.partition, key), -1)
        if decision.outcome != "replay" or offset <= record.offset:
            return decision
        return decision._replace(
            outcome="superseded",
            detail=f"by {record.topic}[{record.partition}]@{offset} under the same key, which cannot be read",
        )

    return [check(decision) for decision in decisions]


def _decide(
    letter: DeadLetter,
    tables: Mapping[str, Table],
    forms: dict[str, Collection[str]],
    avro: "AvroDecoder | None",
) -> Decision:
    """Decide whether a row can be read from a letter, under a key that ends no joiner."""
    record = letter.record
    table = tables.get(record.topic)
    if table is None:
        return Decision(letter, "not of a source topic")
    if not letter.whole:
        return Decision(letter, "cut", detail="it exceeded the topic's limit, so only a part of it was kept")
    try:
        change = parse_row(table, record.key, record.value, avro)
        check_sums(table, change.values)
    except BadRow as bad:
        return Decision(letter, "still unreadable", detail=str(bad))
    form = read_form(record.key or b"", avro)
    known = forms.setdefault(record.topic, [form])
    if form not in known:
        theirs, its = describe_change(min(known), form)
        return Decision(letter, "another form of key", detail=f"than {theirs}, which the topic's keys have: {its}")
    # The same key leads to the same partition; an edited one may lead to another.
    return Decision(letter, "replay", change.row_id, partition=None if letter.edited_key else record.partition)


def check_superseded(decision: Decision, newest: Mapping[str, Collection[NewestRecord]]) -> Decision:
    """Decide whether the topic holds a newer record of a letter's row.

    Args:
        decision: to replay the letter.
        newest: row id -> the newest record of that row in each partition of the letter's topic that holds one.
    """
    records = newest.get(decision.row_id or "", ())
    own = decision.letter.record
    for record in records:
        # Within a partition offsets give the order, whatever the records' times say.
        same_partition = record.partition == own.partition
        if record.offset > own.offset if same_partition else record.time_ms >= own.time_ms:
            location = f"by {own.topic}[{record.partition}]@{record.offset}"
            return decision._replace(outcome="superseded", detail=location)
    if not records:
        return decision
    # All records of a row belong in one partition: the one that holds its others.
    return decision._replace(partition=max(records, key=lambda record: record.time_ms).partition)


def check_forgotten(decision: Decision, known: Container[str], now_ms: int, remembers_ms: float) -> Decision:
    """Decide whether a letter's row, of which the topic holds nothing newer, may have been deleted since.

    Args:
        decision: to replay the letter.
        known: rows of which the topic holds the letter itself, or an older record under its key: compaction drops
            those before it drops a tombstone behind them.
        now_ms: the time, epoch ms.
        remembers_ms: how long the topic keeps, at least, what came after the letter.
    """
    age_ms = now_ms - decision.letter.record.time_ms
    if decision.outcome != "replay" or decision.row_id is None or decision.row_id in known or age_ms <= remembers_ms:
        return decision
    age = f"it is {age_ms // 1000} s old, and the topic may have forgotten deletions after"
    return decision._replace(outcome="too old to know", detail=f"{age} {remembers_ms // 1000:.0f} s")


def read_retention_ms(config: Mapping[str, str]) -> float:
    """Return how long a topic keeps at least what was written to it, tombstones included.

    Args:
        config: the topic's, as Kafka describes it.
    """
    policies = config["cleanup.policy"]
    limits = [config["delete.retention.ms"]] if "compact" in policies else []
    if "delete" in policies:
        # A limit in bytes may be reached at any time.
        limits += [config["retention.ms"], "-1" if config["retention.bytes"] == "-1" else "0"]
    return min((float(limit) for limit in limits if limit != "-1"), default=math.inf)
