"""What becomes of dead letters that are to be put back through: written again, or left out, and why.

A letter is never written where something newer is known of its row, nor where something newer may have been forgotten:
a topic that no longer holds a row's deletion would have the letter bring the row back for ever.
Pure: knows what topics hold, and no client library.
"""

import math
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from joiner.core.rows import parse_row
from joiner.dead_letters.letter import DeadLetter
from shared.errors import BadRow
from shared.records import Table

Fate: TypeAlias = Literal["replay", "still unreadable", "superseded", "too old to know", "not of a source topic", "cut"]


class Decision(NamedTuple):
    """What is to be done with a letter.

    Args:
        filed: the letter.
        fate: whether it is written again, or why not.
        row_id: the row that it is about, where one can be read.
        detail: what stands in the way, for people.
        partition: where it is written; None lets Java's partitioner choose, as connectors do.
    """

    filed: DeadLetter
    fate: Fate
    row_id: str | None = None
    detail: str = ""
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class NewestRecord:
    """The newest record that one partition holds of one row."""

    partition: int
    offset: int
    time_ms: int


def decide_all(letters: Iterable[DeadLetter], tables: Mapping[str, Table]) -> list[Decision]:
    """Decide which letters a row can be read from now; of several about one row only the newest is written.

    Args:
        letters: in the order in which they were received.
        tables: source topic -> the table whose rows it holds.
    """
    decisions: list[Decision] = []
    latest: dict[tuple[str, str], int] = {}
    for filed in letters:
        decision = _decide(filed, tables)
        if decision.fate == "replay" and decision.row_id is not None:
            row = filed.letter.topic, decision.row_id
            if row in latest:
                older = decisions[latest[row]]
                decisions[latest[row]] = older._replace(fate="superseded", detail="by a newer letter of the same row")
            latest[row] = len(decisions)
        decisions.append(decision)
    return decisions


def _decide(filed: DeadLetter, tables: Mapping[str, Table]) -> Decision:
    table = tables.get(filed.letter.topic)
    if table is None:
        return Decision(filed, "not of a source topic")
    if not filed.whole:
        return Decision(filed, "cut", detail="it was beyond the topic's limit and is not kept whole")
    try:
        change = parse_row(table, filed.letter.key, filed.letter.value)
    except BadRow as bad:
        return Decision(filed, "still unreadable", detail=str(bad))
    # The same key leads to the same partition; one that was mended may lead to another.
    return Decision(filed, "replay", change.row_id, partition=None if filed.mended_key else filed.letter.partition)


def check_superseded(decision: Decision, newest: Mapping[str, Collection[NewestRecord]]) -> Decision:
    """Decide whether the topic holds a newer record of a letter's row.

    Args:
        decision: to replay the letter.
        newest: row id -> the newest record of that row in each partition of the letter's topic that holds one.
    """
    records = newest.get(decision.row_id or "", ())
    letter = decision.filed.letter
    for record in records:
        # Within a partition the order is that of offsets, whatever the records' times say.
        within = record.partition == letter.partition
        if record.offset > letter.offset if within else record.time_ms >= letter.time_ms:
            where = f"by {letter.topic}[{record.partition}]@{record.offset}"
            return decision._replace(fate="superseded", detail=where)
    if not records:
        return decision
    # A row lives in one partition: that of its other records.
    return decision._replace(partition=max(records, key=lambda record: record.time_ms).partition)


def check_forgotten(decision: Decision, known: Container[str], now_ms: int, remembers_ms: float) -> Decision:
    """Decide whether the row of a letter that nothing newer is held of may have been deleted since.

    Args:
        decision: to replay the letter.
        known: rows of which the topic holds the letter itself, or an older record under its key: compaction forgets
            those before it forgets a deletion behind them.
        now_ms: the time.
        remembers_ms: for how long the topic remembers what came after the letter, at least.
    """
    age_ms = now_ms - decision.filed.letter.time_ms
    if decision.fate != "replay" or decision.row_id is None or decision.row_id in known or age_ms <= remembers_ms:
        return decision
    since = f"it is of {age_ms // 1000} s ago, and the topic may have forgotten deletions after"
    return decision._replace(fate="too old to know", detail=f"{since} {remembers_ms // 1000:.0f} s")


def read_retention_ms(config: Mapping[str, str]) -> float:
    """Return for how long a topic remembers at least what was written to it, deletions included.

    Args:
        config: the topic's, as Kafka describes it.
    """
    policies = config["cleanup.policy"]
    limits = [config["delete.retention.ms"]] if "compact" in policies else []
    if "delete" in policies:
        # How soon a size is reached nobody knows.
        limits += [config["retention.ms"], "-1" if config["retention.bytes"] == "-1" else "0"]
    return min((float(limit) for limit in limits if limit != "-1"), default=math.inf)
