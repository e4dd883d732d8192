"""Dead letters: source records that no row can be read from, kept as received, with the reason and the origin.

Knows their form in Kafka and the JSON form that people edit, and no client library.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.errors import BadRow
from shared.topics import MAX_RECORD_BYTES

CUT_KEY_BYTES = 1024
"""How much is kept of the key of a record that is too large to keep: enough to find the row by it."""

DETAIL_CHARACTERS = 1000
"""How much is kept of the detail, which may quote the record."""


class UnreadableRecord(NamedTuple):
    """One source record that no row could be read from.

    Args:
        topic: the source topic.
        partition: its partition.
        offset: the record's offset there.
        key: as received.
        value: as received.
        time_ms: the record's timestamp, epoch ms.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    time_ms: int

    @property
    def location(self) -> str:
        """Topic, partition and offset, for people."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


class DeadLetterMessage(NamedTuple):
    """A dead letter as it is written to its topic."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def to_message(record: UnreadableRecord, bad: BadRow, room: int = MAX_RECORD_BYTES) -> DeadLetterMessage:
    """Return the dead letter for a record: key and value as received, cut where they exceed the topic's limit.

    Args:
        record: what could not be read.
        bad: why.
        room: how many bytes key and value may have together.
    """
    headers = [
        ("reason", bad.reason.encode()),
        ("detail", bad.detail[:DETAIL_CHARACTERS].encode(errors="replace")),
        ("topic", record.topic.encode()),
        ("partition", str(record.partition).encode()),
        ("offset", str(record.offset).encode()),
        ("time", str(record.time_ms).encode()),
    ]
    key, value = record.key, record.value
    if len(key or b"") + len(value or b"") > room:
        headers.append(("cut-from-bytes", str(len(value or b"")).encode()))
        key, value = key and key[:CUT_KEY_BYTES], value and value[: room - CUT_KEY_BYTES]
    return DeadLetterMessage(key, value, headers)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter, read from its topic or from a file that was printed from it.

    Args:
        record: the source record; a person may have edited its key and value.
        reason: why no row could be read from it, in one word.
        detail: the same for people.
        whole: False where it was cut, because it exceeded the topic's limit.
        edited_key: True where the key is not the one that was received.
        received_key: the key that was received, where it was edited and is known.
    """

    record: UnreadableRecord
    reason: str
    detail: str
    whole: bool = True
    edited_key: bool = False
    received_key: bytes | None = None

    @property
    def source_key(self) -> bytes | None:
        """The key under which the source wrote the record, and whatever it wrote of the row since."""
        return self.received_key if self.edited_key else self.record.key

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object: bytes as text where they are UTF-8, else in Base64 under another name."""
        record = self.record
        return {
            "reason": self.reason,
            "detail": self.detail,
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "time": record.time_ms,
            **_encode_bytes("key", record.key),
            **_encode_bytes("value", record.value),
            **({} if self.whole else {"cut": True}),
        }


def parse_dead_letter(key: bytes | None, value: bytes | None, headers: Mapping[str, bytes]) -> DeadLetter:
    """Return the dead letter that `to_message` wrote.

    Args:
        key: the message's key.
        value: the message's value.
        headers: the message's headers.

    Raises:
        KeyError, ValueError: the message is not a dead letter of this service.
    """
    text = {name: value.decode() for name, value in headers.items()}
    record = UnreadableRecord(text["topic"], int(text["partition"]), int(text["offset"]), key, value, int(text["time"]))
    return DeadLetter(record, text["reason"], text.get("detail", ""), whole="cut-from-bytes" not in text)


def parse_edited(document: Mapping[str, Any], original: DeadLetter | None) -> DeadLetter:
    """Return the dead letter in a JSON object that `DeadLetter.to_json` gave and a person may have edited.

    Args:
        document: the object.
        original: the same letter as its topic holds it; None where it is no longer there.

    Raises:
        KeyError, ValueError, TypeError: the object is not a dead letter.
    """
    key, value = _decode_bytes(document, "key"), _decode_bytes(document, "value")
    record = UnreadableRecord(
        document["topic"], document["partition"], document["offset"], key, value, document["time"]
    )
    whole = not document.get("cut") or (original is not None and original.record.value != value)
    edited_key = original is None or original.record.key != key
    received_key = original.record.key if edited_key and original is not None else None
    return DeadLetter(record, document["reason"], document.get("detail", ""), whole, edited_key, received_key)


def _encode_bytes(name: str, content: bytes | None) -> dict[str, str | None]:
    if content is None:
        return {name: None}
    try:
        return {name: content.decode()}
    except UnicodeDecodeError:
        return {f"{name}Base64": base64.b64encode(content).decode()}


def _decode_bytes(document: Mapping[str, Any], name: str) -> bytes | None:
    if document.get(f"{name}Base64") is not None:
        return base64.b64decode(document[f"{name}Base64"], validate=True)
    text = document.get(name)
    return None if text is None else str(text).encode()
