"""The group's ledger: one small compacted topic that says what its state was built from, and how far it has come.

In Kafka, because it must be shared by every joiner of the group, outlive their disks, and go where the state goes; in a
topic of its own, because committed offsets expire with the group and changelogs are read only as far as a partition is
assigned. One partition, so that all that is noted has one order.
"""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from joiner.core.compatibility import LedgerNotes, PartitionId, decode_inputs
from joiner.kafka.producer import NewRecord, open_producer, write_all
from joiner.kafka.scan import scan

INPUTS = b"inputs"
REBUILD = b"rebuild"
RESETTING = b"resetting"
CAUGHT_UP = b"caught-up"


def caught_up_key(partition_id: PartitionId) -> bytes:
    """Return the key under which is noted when a source partition was last read to its end."""
    return json.dumps([CAUGHT_UP.decode(), *partition_id]).encode()


class LedgerRecord(NamedTuple):
    """One record of a ledger.

    Args:
        key: what it is about.
        value: what it says; None forgets what was said before.
        time_ms: when it was written.
    """

    key: bytes
    value: bytes | None
    time_ms: int


class Ledger:
    """The notes of one group.

    Args:
        client: where Kafka is and how to reach it, as librdkafka's properties.
        topic: the ledger's name; the topic exists.
    """

    def __init__(self, client: Mapping[str, str], topic: str) -> None:
        self._client = client
        self._topic = topic
        self._producer = open_producer(client)

    def read(self) -> LedgerNotes:
        """Return all that is noted."""
        return parse_notes({message.key() or b"": message.value() for message in scan(self._client, self._topic, [0])})

    def rebuilding_since(self) -> tuple[LedgerNotes, set[PartitionId]]:
        """Return all that is noted, and which source partitions were read to their end since the rebuild began."""
        notes = [
            LedgerRecord(message.key() or b"", message.value(), message.timestamp()[1])
            for message in scan(self._client, self._topic, [0])
        ]
        return parse_notes({note.key: note.value for note in notes}), find_read_since_rebuild(notes)

    def write(self, notes: Mapping[bytes, bytes | None]) -> None:
        """Write notes, and wait until they are kept; None forgets one.

        Raises:
            Interrupted: they were not taken.
        """
        write_all(self._producer, self._topic, [NewRecord(key, value) for key, value in notes.items()])


def _parse_partition(key: bytes) -> PartitionId | None:
    if not key.startswith(b"["):
        return None
    _, topic, partition = json.loads(key)
    return topic, partition


def find_read_since_rebuild(notes: Iterable[LedgerRecord]) -> set[PartitionId]:
    """Return which source partitions were read to their ends since the last rebuild began.

    Args:
        notes: all of a ledger, in its order.
    """
    began_ms = 0
    read: set[PartitionId] = set()
    for note in notes:
        if note.key == REBUILD:
            began_ms = note.time_ms
            read.clear()
        # A joiner that was paused may write, behind the rebuild's begin, what it had read before it.
        elif (
            note.value is not None
            and (partition_id := _parse_partition(note.key)) is not None
            and int(note.value) >= began_ms
        ):
            read.add(partition_id)
    return read


def parse_notes(latest: Mapping[bytes, bytes | None]) -> LedgerNotes:
    """Return what the latest value under each key says."""
    notes = {key: value for key, value in latest.items() if value is not None}
    partition_ids = {
        partition_id: int(value) for key, value in notes.items() if (partition_id := _parse_partition(key)) is not None
    }
    rebuild = notes.get(REBUILD)
    return LedgerNotes(
        inputs=decode_inputs(notes[INPUTS]) if INPUTS in notes else None,
        caught_up_ms=partition_ids,
        rebuild={int(partition): end for partition, end in json.loads(rebuild).items()} if rebuild else None,
        resetting=RESETTING in notes,
    )
