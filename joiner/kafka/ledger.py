"""The group's ledger: a small compacted topic that says what the group's state was built from, and how far it has come.

It is in Kafka because every joiner of the group shares it, and because it must outlive their disks and move with the
state. It is a topic of its own because committed offsets expire with the group, and changelogs are read only where a
partition is assigned. It has one partition, so all notes have one order.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from joiner.core.build import decode_build
from joiner.core.compatibility import LedgerNotes, decode_inputs
from joiner.core.records import PartitionId
from joiner.kafka.producer import NewRecord, open_producer, write_all
from joiner.kafka.scan import scan

INPUTS = b"inputs"
REBUILD = b"rebuild"
"""What earlier versions noted of a rebuild: partition of user-info -> its end when it began."""

BUILD = b"build"
RESETTING = b"resetting"
CAUGHT_UP = b"caught-up"
FORMS_ARE_WHOLE = b"key-forms"

_FORM_PREFIX = b"key-form "
"""Earlier versions leave such notes alone; one that began with `[` they would read as a partition's."""

SERVES_PREFIX = b"serves "
"""What notes begin with that say which joiner answers for the users of a part (see joiner.queries)."""

_NOTED = b"true"


def caught_up_key(partition_id: PartitionId) -> bytes:
    """Return the key of the note that says when a source partition was last read to its end."""
    return json.dumps([CAUGHT_UP.decode(), *partition_id]).encode()


def key_form_key(topic: str, form: str) -> bytes:
    """Return the key of the note that keys of a form were met in a source topic; another form is another note."""
    return _FORM_PREFIX + json.dumps([topic, form]).encode()


class LedgerRecord(NamedTuple):
    """One record of a ledger.

    Args:
        key: what the note is about.
        value: the note; None deletes it.
    """

    key: bytes
    value: bytes | None


class Ledger:
    """The notes of one group.

    Args:
        client: where Kafka is and how to reach it, as librdkafka's properties.
        topic: the ledger's name; the topic must exist.
    """

    def __init__(self, client: Mapping[str, str], topic: str) -> None:
        self._client = client
        self._topic = topic
        self._producer = open_producer(client)

    def read(self) -> LedgerNotes:
        """Return all notes."""
        return parse_notes(dict(self._read_records()))

    def _read_records(self) -> list[LedgerRecord]:
        return [LedgerRecord(message.key() or b"", message.value()) for message in scan(self._client, self._topic, [0])]

    def note_inputs(self, inputs: bytes) -> None:
        """Note what a state is built from, unless another joiner has noted it first: that note stays.

        Of two joiners that begin a state at the same time, the later one finds the other's note before its own.

        Args:
            inputs: as joiner.core.compatibility encodes them.

        Raises:
            Interrupted: Kafka did not accept the note, or does not answer.
        """
        self.write({INPUTS: inputs})
        first = find_first_inputs(self._read_records())
        if first != inputs:
            self.write({INPUTS: first})

    def note_key_form(self, topic: str, form: str) -> Collection[str]:
        """Note that keys of a form were met, and return all forms that are noted of the topic then.

        Of two joiners that meet two forms at the same time, the later one finds both.

        Args:
            topic: a source topic.
            form: as joiner.core.key_forms reads it.

        Raises:
            Interrupted: Kafka did not accept the note, or does not answer.
        """
        self.write({key_form_key(topic, form): _NOTED})
        return self.read().key_forms[topic]

    def write(self, notes: Mapping[bytes, bytes | None]) -> None:
        """Write notes, and wait until Kafka has acknowledged them.

        Args:
            notes: key -> note; None deletes it.

        Raises:
            Interrupted: Kafka did not accept them.
        """
        write_all(self._producer, self._topic, [NewRecord(key, value) for key, value in notes.items()])


def _parse_partition(key: bytes) -> PartitionId | None:
    if not key.startswith(b"["):
        return None
    _, topic, partition = json.loads(key)
    return topic, partition


def find_first_inputs(notes: Iterable[LedgerRecord]) -> bytes | None:
    """Return what was noted first of a state's inputs, since a reset if there was one.

    Args:
        notes: all records of a ledger, in their order.
    """
    first = None
    for note in notes:
        if note.key == INPUTS and (first is None or note.value is None):
            first = note.value
    return first


def parse_notes(latest: Mapping[bytes, bytes | None]) -> LedgerNotes:
    """Return the notes, given the latest value under each key."""
    notes = {key: value for key, value in latest.items() if value is not None}
    partition_ids = {
        partition_id: int(value) for key, value in notes.items() if (partition_id := _parse_partition(key)) is not None
    }
    rebuild = notes.get(REBUILD)
    key_forms: defaultdict[str, list[str]] = defaultdict(list)
    for key in notes:
        if key.startswith(_FORM_PREFIX):
            topic, form = json.loads(key.removeprefix(_FORM_PREFIX))
            key_forms[topic].append(form)
    return LedgerNotes(
        inputs=decode_inputs(notes[INPUTS]) if INPUTS in notes else None,
        caught_up_ms=partition_ids,
        build=decode_build(notes[BUILD]) if BUILD in notes else None,
        rebuild={int(partition): end for partition, end in json.loads(rebuild).items()} if rebuild else None,
        resetting=RESETTING in notes,
        key_forms=key_forms,
        forms_are_whole=FORMS_ARE_WHOLE in notes,
    )
