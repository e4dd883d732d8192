"""Putting dead letters back through: each is written to its source topic again, once a row can be read from it.

A letter is older than what its source wrote since, and must never take the place of that. So it is written only where
its topic holds no newer record of the same row. The source may write one in the very moment, though; therefore what
came in between is looked for afterwards, and written once more behind the letter, until nothing came in between.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from confluent_kafka import Message, Producer

from joiner.changes import parse
from joiner.inputs import Place
from joiner.letters import Filed
from joiner.scan import scan
from shared.errors import BadRow, Interrupted
from shared.kafka import COMMON
from shared.records import Table

Fate: TypeAlias = Literal["replay", "still unreadable", "superseded", "not of a source topic", "cut"]

FLUSH_SECONDS = 30.0


class Decision(NamedTuple):
    """What is to be done with a letter.

    Args:
        filed: the letter.
        fate: whether it is written again, or why not.
        row_id: the row that it is about, where one can be read.
        detail: what stands in the way, for people.
        partition: where it is written; None lets Java's partitioner choose, as connectors do.
    """

    filed: Filed
    fate: Fate
    row_id: str | None = None
    detail: str = ""
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest record that a topic holds of one row."""

    partition: int
    offset: int
    time_ms: int


def readable(letters: Iterable[Filed], tables: Mapping[str, Table]) -> list[Decision]:
    """Decide which letters a row can be read from now; of several about one row only the newest is written.

    Args:
        letters: in the order in which they were received.
        tables: source topic -> the table whose rows it holds.
    """
    decisions: list[Decision] = []
    latest: dict[tuple[str, str], int] = {}
    for filed in letters:
        decision = _read(filed, tables)
        if decision.fate == "replay" and decision.row_id is not None:
            row = filed.letter.topic, decision.row_id
            if row in latest:
                older = decisions[latest[row]]
                decisions[latest[row]] = older._replace(fate="superseded", detail="by a newer letter of the same row")
            latest[row] = len(decisions)
        decisions.append(decision)
    return decisions


def _read(filed: Filed, tables: Mapping[str, Table]) -> Decision:
    table = tables.get(filed.letter.topic)
    if table is None:
        return Decision(filed, "not of a source topic")
    if not filed.whole:
        return Decision(filed, "cut", detail="it was beyond the topic's limit and is not kept whole")
    try:
        change = parse(table, filed.letter.key, filed.letter.value)
    except BadRow as bad:
        return Decision(filed, "still unreadable", detail=str(bad))
    # The same key leads to the same partition; one that was mended may lead to another.
    return Decision(filed, "replay", change.row_id, partition=None if filed.mended_key else filed.letter.partition)


def superseded(decision: Decision, newest: Mapping[str, Newest]) -> Decision:
    """Decide whether the topic holds a newer record of a letter's row.

    Args:
        decision: to replay the letter.
        newest: row id -> the newest record of that row in the letter's topic.
    """
    record = newest.get(decision.row_id or "")
    letter = decision.filed.letter
    if record is None:
        return decision
    newer = record.offset > letter.offset if record.partition == letter.partition else record.time_ms >= letter.time_ms
    if newer:
        where = f"by {letter.topic}[{record.partition}]@{record.offset}"
        return decision._replace(fate="superseded", detail=where)
    # A row lives in one partition: that of its other records.
    return decision._replace(partition=record.partition)


class Replayer:
    """Plans and does replays on one cluster.

    Args:
        client: where Kafka is and how to reach it, as librdkafka's properties.
        tables: source topic -> the table whose rows it holds.
        partitions: source topic -> how many partitions it has.
    """

    def __init__(self, client: Mapping[str, str], tables: Mapping[str, Table], partitions: Mapping[str, int]) -> None:
        self._client = client
        self._tables = tables
        self._partitions = partitions
        self._ends: dict[Place, int] = {}

    def plan(self, letters: Iterable[Filed]) -> list[Decision]:
        """Decide the fate of letters; reads the source topics concerned.

        Args:
            letters: in the order in which they were received.
        """
        decisions = readable(letters, self._tables)
        wanted: dict[str, set[str]] = {}
        for decision in decisions:
            if decision.fate == "replay" and decision.row_id is not None:
                wanted.setdefault(decision.filed.letter.topic, set()).add(decision.row_id)
        newest = {topic: self._newest(topic, rows) for topic, rows in wanted.items()}
        return [
            superseded(decision, newest[decision.filed.letter.topic]) if decision.fate == "replay" else decision
            for decision in decisions
        ]

    def _newest(self, topic: str, rows: set[str]) -> dict[str, Newest]:
        newest: dict[str, Newest] = {}
        for message in scan(self._client, topic, range(self._partitions[topic])):
            self._ends[topic, message.partition()] = message.offset() + 1
            row_id = _row_id(self._tables[topic], message)
            if row_id in rows and row_id is not None:
                time_ms = message.timestamp()[1]
                if row_id not in newest or time_ms >= newest[row_id].time_ms:
                    newest[row_id] = Newest(message.partition(), message.offset(), time_ms)
        return newest

    def do(self, decisions: Iterable[Decision]) -> int:
        """Write the letters that are to be replayed, and return how many those were.

        Args:
            decisions: as `plan` made them.

        Raises:
            Interrupted: Kafka did not take them.
        """
        chosen = [decision for decision in decisions if decision.fate == "replay"]
        for topic in {decision.filed.letter.topic for decision in chosen}:
            mine = [decision for decision in chosen if decision.filed.letter.topic == topic]
            letters = [(decision.filed.letter, decision.partition) for decision in mine]
            written = self._write(topic, [_Record(partition, each.key, each.value) for each, partition in letters])
            rows = {decision.row_id for decision in mine}
            while overtaken := self._overtaken(topic, rows, written):
                written |= self._write(topic, overtaken)
        return len(chosen)

    def _overtaken(self, topic: str, rows: set[str | None], written: set[tuple[int, int]]) -> list["_Record"]:
        """Return what the source wrote of these rows since they were looked for, and a record of ours came behind."""
        last: dict[str, Message] = {}
        behind: dict[str, Message] = {}
        start = {partition: self._ends.get((topic, partition), 0) for partition in range(self._partitions[topic])}
        for message in scan(self._client, topic, start, start):
            self._ends[topic, message.partition()] = message.offset() + 1
            row_id = _row_id(self._tables[topic], message)
            if row_id is None or row_id not in rows:
                continue
            if (message.partition(), message.offset()) in written:
                if row_id in last:
                    behind[row_id] = last[row_id]
            else:
                last[row_id] = message
                behind.pop(row_id, None)
        return [_Record(message.partition(), message.key(), message.value()) for message in behind.values()]

    def _write(self, topic: str, records: Iterable["_Record"]) -> set[tuple[int, int]]:
        producer = Producer(
            {**COMMON, **self._client, "enable.idempotence": True, "partitioner": "murmur2_random", "linger.ms": 5}
        )
        written: set[tuple[int, int]] = set()
        failures: list[object] = []

        def note(error: object, message: Message) -> None:
            if error is not None:
                failures.append(error)
            else:
                written.add((message.partition(), message.offset()))

        for record in records:
            where = -1 if record.partition is None else record.partition
            producer.produce(topic, record.value, record.key, partition=where, on_delivery=note)
            producer.poll(0)
        if producer.flush(FLUSH_SECONDS) or failures:
            raise Interrupted(f"cannot write to {topic}: {failures[0] if failures else 'no answer'}")
        return written


class _Record(NamedTuple):
    partition: int | None
    key: bytes | None
    value: bytes | None


def _row_id(table: Table, message: Message) -> str | None:
    try:
        return parse(table, message.key(), message.value()).row_id
    except BadRow:
        return None
