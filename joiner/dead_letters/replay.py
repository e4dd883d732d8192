"""Replays dead letters: each is written to its source topic again, once a row can be read from it.

A letter is older than anything its source has written since, and must never replace it. So it is written only where its
topic holds no newer record of the same row. The source may write one at that very moment, though. Therefore what came
in between is looked for afterwards and written once more behind the letter, until nothing came in between. What a
source writes in a transaction can be read only once the transaction has ended, so its end is awaited.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import IsolationLevel, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from joiner.core.plan import Table
from joiner.core.records import PartitionId
from joiner.core.rows import parse_row
from joiner.dead_letters.letter import DeadLetter
from joiner.dead_letters.replay_policy import Decision, NewestRecord, check_forgotten, check_superseded, decide_all
from joiner.kafka.config import REQUEST_SECONDS
from joiner.kafka.producer import NewRecord, open_producer, write_all
from joiner.kafka.scan import scan
from shared.errors import BadRow, Interrupted

if TYPE_CHECKING:
    from joiner.core.avro import AvroDecoder

JAVA_PARTITIONER = "murmur2_random"
"""librdkafka's name for the partitioner of Java's producers, and so of connectors: a row stays in its partition."""

PATIENCE_SECONDS = 30.0
"""How long a source's transaction may stay open before the command gives up and says so."""


class Replayer:
    """Plans and does replays on one cluster.

    Args:
        client: where Kafka is and how to reach it, as librdkafka's properties.
        tables: source topic -> the table whose rows it holds.
        partitions: source topic -> how many partitions it has.
        key_forms: source topic -> the forms of its keys, as the group has noted them.
        patience_seconds: how long to wait until transactions that are open in a source topic end.
        avro: reads Avro; None: no schema registry is known.
    """

    def __init__(  # noqa: PLR0913 - the cluster, and what it holds
        self,
        client: Mapping[str, str],
        tables: Mapping[str, Table],
        partitions: Mapping[str, int],
        key_forms: Mapping[str, Collection[str]],
        patience_seconds: float = PATIENCE_SECONDS,
        *,
        avro: "AvroDecoder | None" = None,
    ) -> None:
        self._client = client
        self._admin = AdminClient(dict(client))
        self._tables = tables
        self._partitions = partitions
        self._key_forms = key_forms
        self._patience = patience_seconds
        self._avro = avro
        self._scanned_to: dict[PartitionId, int] = {}

    def plan(self, letters: Iterable[DeadLetter], remembers_ms: Mapping[str, float], now_ms: int) -> list[Decision]:
        """Decide what to do with letters; reads their source topics.

        Args:
            letters: in the order in which they were received.
            remembers_ms: source topic -> how long it remembers deletions; infinite to assume that none happened.
            now_ms: the time, epoch ms.
        """
        decisions = decide_all(letters, self._tables, self._key_forms, self._avro)
        chosen = _chosen(decisions)
        contents = {topic: self._read_contents(topic, mine) for topic, mine in _by_topic(chosen).items()}

        def check(decision: Decision) -> Decision:
            if decision.outcome != "replay":
                return decision
            topic = decision.letter.record.topic
            decision = check_superseded(decision, contents[topic].newest)
            return check_forgotten(decision, contents[topic].known, now_ms, remembers_ms[topic])

        return [check(decision) for decision in decisions]

    def _read_contents(self, topic: str, decisions: Iterable[Decision]) -> "_TopicContents":
        rows = {decision.row_id for decision in decisions}
        received = {
            (decision.letter.record.partition, decision.letter.source_key): (
                decision.letter.record.offset,
                decision.row_id,
                decision.letter.edited_key,
            )
            for decision in decisions
            if decision.letter.source_key is not None
        }
        newest: dict[str, dict[int, NewestRecord]] = {}
        known: set[str] = set()
        for message in scan(self._client, topic, range(self._partitions[topic])):
            partition, offset = message.partition(), message.offset()
            self._scanned_to[topic, partition] = offset + 1
            letter_offset, letter_row, is_edited = received.get((partition, message.key()), (-1, None, False))
            # Under an edited key compaction forgets other records than under the one that was received.
            if letter_row is not None and offset <= letter_offset and not is_edited:
                known.add(letter_row)
            row_id = _read_row_id(self._tables[topic], message, self._avro)
            if offset > letter_offset and letter_row is not None and (row_id is None or message.value() is None):
                row_id = letter_row  # what came later under the key that was received, read or not, is about its row
            if row_id is not None and row_id in rows:
                newest.setdefault(row_id, {})[partition] = NewestRecord(partition, offset, message.timestamp()[1])
        return _TopicContents({row_id: [*records.values()] for row_id, records in newest.items()}, known)

    def do(self, decisions: Iterable[Decision]) -> int:
        """Write the letters that are to be replayed, and return how many those are.

        Args:
            decisions: as `plan` returns them.

        Raises:
            Interrupted: Kafka did not accept them, or a source's transaction does not end.
        """
        chosen = _chosen(decisions)
        for topic, mine in _by_topic(chosen).items():
            self._await_committed(
                topic, self._read_ends(topic), f"nothing is written to {topic} yet; run this again once it has ended"
            )
            letters = [(decision.letter.record, decision.partition) for decision in mine]
            written = self._write(topic, [NewRecord(each.key, each.value, partition) for each, partition in letters])
            rows = {decision.row_id for decision in mine if decision.row_id is not None}
            while overtaken := self._find_overtaken(topic, rows, written):
                written |= self._write(topic, overtaken)
        return len(chosen)

    def _await_committed(self, topic: str, ends: Mapping[int, int], hint: str) -> None:
        """Wait until everything before these offsets can be read: an open transaction hides what it wrote.

        Args:
            topic: the source topic.
            ends: partition -> offset.
            hint: what to do where the transaction does not end.
        """
        deadline = time.monotonic() + self._patience
        while True:
            stable = self._read_ends(topic, IsolationLevel.READ_COMMITTED)
            if all(stable[partition] >= end for partition, end in ends.items()):
                return
            if time.monotonic() > deadline:
                raise Interrupted(
                    f"a transaction in the topic {topic} has not ended within {self._patience:g} s, and may hold rows"
                    " that are newer than the letters",
                    hint,
                )
            time.sleep(0.1)

    def _read_ends(self, topic: str, isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED) -> dict[int, int]:
        """Return each partition's high watermark, or with READ_COMMITTED its last stable offset."""
        asked = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in range(self._partitions[topic])}
        listed = self._admin.list_offsets(asked, isolation_level=isolation, request_timeout=REQUEST_SECONDS)
        return {each.partition: future.result().offset for each, future in listed.items()}

    def _find_overtaken(self, topic: str, rows: set[str], written: set[tuple[int, int]]) -> list[NewRecord]:
        """Return what the source wrote of these rows since they were last read, and before a record of ours."""
        ends = {partition: offset + 1 for partition, offset in sorted(written)}
        self._await_committed(
            topic,
            ends,
            "the letters are written; once it has ended, have the source write these rows again, all of"
            f" {topic}: {', '.join(sorted(rows))}",
        )
        latest: dict[str, Message] = {}
        overtaken: dict[str, Message] = {}
        start = {partition: self._scanned_to.get((topic, partition), 0) for partition in range(self._partitions[topic])}
        for message in scan(self._client, topic, start, start):
            self._scanned_to[topic, message.partition()] = message.offset() + 1
            row_id = _read_row_id(self._tables[topic], message, self._avro)
            if row_id is None or row_id not in rows:
                continue
            if (message.partition(), message.offset()) in written:
                if row_id in latest:
                    overtaken[row_id] = latest[row_id]
            else:
                latest[row_id] = message
                overtaken.pop(row_id, None)
        return [NewRecord(message.key(), message.value(), message.partition()) for message in overtaken.values()]

    def _write(self, topic: str, records: Iterable[NewRecord]) -> set[tuple[int, int]]:
        producer = open_producer(self._client, linger_ms=5, partitioner=JAVA_PARTITIONER)
        return write_all(producer, topic, records)


class _TopicContents(NamedTuple):
    """What a source topic holds of the letters' rows: the newest records, and the rows that `check_forgotten` knows."""

    newest: Mapping[str, Sequence[NewestRecord]]
    known: set[str]


def _chosen(decisions: Iterable[Decision]) -> list[Decision]:
    return [decision for decision in decisions if decision.outcome == "replay"]


def _by_topic(decisions: Iterable[Decision]) -> dict[str, list[Decision]]:
    by_topic: dict[str, list[Decision]] = {}
    for decision in decisions:
        by_topic.setdefault(decision.letter.record.topic, []).append(decision)
    return by_topic


def _read_row_id(table: Table, message: Message, avro: "AvroDecoder | None") -> str | None:
    try:
        return parse_row(table, message.key(), message.value(), avro).row_id
    except BadRow:
        return None
