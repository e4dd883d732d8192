"""Putting dead letters back through: each is written to its source topic again, once a row can be read from it.

A letter is older than what its source wrote since, and must never take the place of that. So it is written only where
its topic holds no newer record of the same row. The source may write one in the very moment, though; therefore what
came in between is looked for afterwards, and written once more behind the letter, until nothing came in between. What
a source writes in a transaction is seen only when that has ended, so its end is awaited.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from confluent_kafka import IsolationLevel, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from joiner.core.compatibility import PartitionId
from joiner.core.rows import parse_row
from joiner.dead_letters.letter import DeadLetter
from joiner.dead_letters.replay_policy import Decision, NewestRecord, check_forgotten, check_superseded, decide_all
from joiner.kafka.config import REQUEST_SECONDS
from joiner.kafka.producer import NewRecord, open_producer, write_all
from joiner.kafka.scan import scan
from shared.errors import BadRow, Interrupted
from shared.records import Table

JAVA_PARTITIONER = "murmur2_random"
"""librdkafka's name for what Java's producers do, and so connectors: a row stays in its partition."""

PATIENCE_SECONDS = 30.0
"""How long the transaction of a source may be open before that is told to people."""


class Replayer:
    """Plans and does replays on one cluster.

    Args:
        client: where Kafka is and how to reach it, as librdkafka's properties.
        tables: source topic -> the table whose rows it holds.
        partitions: source topic -> how many partitions it has.
        patience_seconds: how long to wait for the ends of transactions that others have open in a source topic.
    """

    def __init__(
        self,
        client: Mapping[str, str],
        tables: Mapping[str, Table],
        partitions: Mapping[str, int],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._client = client
        self._admin = AdminClient(dict(client))
        self._tables = tables
        self._partitions = partitions
        self._patience = patience_seconds
        self._ends: dict[PartitionId, int] = {}

    def plan(self, letters: Iterable[DeadLetter], remembers_ms: Mapping[str, float], now_ms: int) -> list[Decision]:
        """Decide the fate of letters; reads the source topics concerned.

        Args:
            letters: in the order in which they were received.
            remembers_ms: source topic -> for how long it remembers deletions; infinite to take it that none happened.
            now_ms: the time.
        """
        decisions = decide_all(letters, self._tables)
        chosen = [decision for decision in decisions if decision.fate == "replay"]
        held = {
            topic: self._held(topic, [each for each in chosen if each.filed.letter.topic == topic])
            for topic in {decision.filed.letter.topic for decision in chosen}
        }

        def decided(decision: Decision) -> Decision:
            if decision.fate != "replay":
                return decision
            topic = decision.filed.letter.topic
            decision = check_superseded(decision, held[topic].newest)
            return check_forgotten(decision, held[topic].known, now_ms, remembers_ms[topic])

        return [decided(decision) for decision in decisions]

    def _held(self, topic: str, decisions: Iterable[Decision]) -> "_TopicContents":
        rows = {decision.row_id for decision in decisions}
        received = {
            (decision.filed.letter.partition, decision.filed.letter.key): (
                decision.filed.letter.offset,
                decision.row_id,
            )
            for decision in decisions
            if not decision.filed.mended_key
        }
        newest: dict[str, dict[int, NewestRecord]] = {}
        known: set[str] = set()
        for message in scan(self._client, topic, range(self._partitions[topic])):
            partition, offset = message.partition(), message.offset()
            self._ends[topic, partition] = offset + 1
            until, under = received.get((partition, message.key()), (-1, None))
            if under is not None and offset <= until:
                known.add(under)
            row_id = _read_row_id(self._tables[topic], message)
            if row_id is not None and row_id in rows:
                newest.setdefault(row_id, {})[partition] = NewestRecord(partition, offset, message.timestamp()[1])
        return _TopicContents({row_id: [*records.values()] for row_id, records in newest.items()}, known)

    def do(self, decisions: Iterable[Decision]) -> int:
        """Write the letters that are to be replayed, and return how many those were.

        Args:
            decisions: as `plan` made them.

        Raises:
            Interrupted: Kafka did not take them, or others' transactions do not end.
        """
        chosen = [decision for decision in decisions if decision.fate == "replay"]
        for topic in {decision.filed.letter.topic for decision in chosen}:
            self._await_committed(
                topic, self._offsets(topic), f"nothing is written to {topic} yet; run this again once it has ended"
            )
            mine = [decision for decision in chosen if decision.filed.letter.topic == topic]
            letters = [(decision.filed.letter, decision.partition) for decision in mine]
            written = self._write(topic, [NewRecord(each.key, each.value, partition) for each, partition in letters])
            rows = {decision.row_id for decision in mine if decision.row_id is not None}
            while overtaken := self._overtaken(topic, rows, written):
                written |= self._write(topic, overtaken)
        return len(chosen)

    def _await_committed(self, topic: str, ends: Mapping[int, int], otherwise: str) -> None:
        """Wait until all before some offsets can be read: what a source's open transaction wrote there comes later."""
        deadline = time.monotonic() + self._patience
        while True:
            stable = self._offsets(topic, IsolationLevel.READ_COMMITTED)
            if all(stable[partition] >= end for partition, end in ends.items()):
                return
            if time.monotonic() > deadline:
                raise Interrupted(
                    f"a transaction in the topic {topic} has not ended within {self._patience:g} s, and may hold rows"
                    f" that are newer than the letters: {otherwise}"
                )
            time.sleep(0.1)

    def _offsets(self, topic: str, isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED) -> dict[int, int]:
        """Return where each partition ends: with all that was written, or with what is committed."""
        asked = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in range(self._partitions[topic])}
        listed = self._admin.list_offsets(asked, isolation_level=isolation, request_timeout=REQUEST_SECONDS)
        return {place.partition: future.result().offset for place, future in listed.items()}

    def _overtaken(self, topic: str, rows: set[str], written: set[tuple[int, int]]) -> list[NewRecord]:
        """Return what the source wrote of these rows since they were looked for, and a record of ours came behind."""
        ends = {partition: offset + 1 for partition, offset in sorted(written)}
        self._await_committed(
            topic,
            ends,
            "the letters are written; once it has ended, have the source write these rows again, all of"
            f" {topic}: {', '.join(sorted(rows))}",
        )
        last: dict[str, Message] = {}
        behind: dict[str, Message] = {}
        start = {partition: self._ends.get((topic, partition), 0) for partition in range(self._partitions[topic])}
        for message in scan(self._client, topic, start, start):
            self._ends[topic, message.partition()] = message.offset() + 1
            row_id = _read_row_id(self._tables[topic], message)
            if row_id is None or row_id not in rows:
                continue
            if (message.partition(), message.offset()) in written:
                if row_id in last:
                    behind[row_id] = last[row_id]
            else:
                last[row_id] = message
                behind.pop(row_id, None)
        return [NewRecord(message.key(), message.value(), message.partition()) for message in behind.values()]

    def _write(self, topic: str, records: Iterable[NewRecord]) -> set[tuple[int, int]]:
        producer = open_producer(self._client, linger_ms=5, partitioner=JAVA_PARTITIONER)
        return write_all(producer, topic, records)


class _TopicContents(NamedTuple):
    newest: Mapping[str, Sequence[NewestRecord]]
    known: set[str]


def _read_row_id(table: Table, message: Message) -> str | None:
    try:
        return parse_row(table, message.key(), message.value()).row_id
    except BadRow:
        return None
