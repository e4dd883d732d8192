"""Dead letters: source records that no row can be read from, kept as received, with why and from where.

Knows what such a record looks like, as Kafka keeps it and as people mend it, and no client library.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.errors import BadRow
from shared.topics import MAX_RECORD_BYTES

CUT_KEY_BYTES = 1024
DETAIL_CHARACTERS = 1000


class UnreadableRecord(NamedTuple):
    """One source record that could not be read.

    Args:
        topic: where it was.
        partition: in which partition of it.
        offset: at which offset.
        key: as received.
        value: as received.
        time_ms: the record's own time.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    time_ms: int

    @property
    def place(self) -> str:
        """Where it was, for people."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


class DeadLetterMessage(NamedTuple):
    """A dead letter as it is written."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def to_message(letter: UnreadableRecord, bad: BadRow) -> DeadLetterMessage:
    """Return the dead letter for a record: as received; one beyond the topic's limit is cut, and says so."""
    headers = [
        ("reason", bad.reason.encode()),
        ("detail", bad.detail[:DETAIL_CHARACTERS].encode(errors="replace")),
        ("topic", letter.topic.encode()),
        ("partition", str(letter.partition).encode()),
        ("offset", str(letter.offset).encode()),
        ("time", str(letter.time_ms).encode()),
    ]
    key, value = letter.key, letter.value
    if len(key or b"") + len(value or b"") > MAX_RECORD_BYTES:
        headers.append(("cut-from-bytes", str(len(value or b"")).encode()))
        key, value = key and key[:CUT_KEY_BYTES], value and value[: MAX_RECORD_BYTES - CUT_KEY_BYTES]
    return DeadLetterMessage(key, value, headers)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as it is found in its topic, or in a file that was printed from it.

    Args:
        letter: the source record; its key and value may have been mended since.
        reason: why no row could be read from it.
        detail: the same for people.
        whole: False where it was cut, being beyond the topic's limit.
        mended_key: True where the key is no longer the one that was received.
    """

    letter: UnreadableRecord
    reason: str
    detail: str
    whole: bool = True
    mended_key: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object: bytes as text where they are UTF-8, else in Base64 under another name."""
        letter = self.letter
        return {
            "reason": self.reason,
            "detail": self.detail,
            "topic": letter.topic,
            "partition": letter.partition,
            "offset": letter.offset,
            "time": letter.time_ms,
            **_encode_bytes("key", letter.key),
            **_encode_bytes("value", letter.value),
            **({} if self.whole else {"cut": True}),
        }


def parse_dead_letter(key: bytes | None, value: bytes | None, headers: Mapping[str, bytes]) -> DeadLetter:
    """Return the dead letter that `to_message` wrote.

    Args:
        key: the record's key.
        value: the record's value.
        headers: the record's headers.

    Raises:
        KeyError, ValueError: it is none of ours.
    """
    text = {name: value.decode() for name, value in headers.items()}
    letter = UnreadableRecord(text["topic"], int(text["partition"]), int(text["offset"]), key, value, int(text["time"]))
    return DeadLetter(letter, text["reason"], text.get("detail", ""), whole="cut-from-bytes" not in text)


def parse_edited(document: Mapping[str, Any], original: DeadLetter | None) -> DeadLetter:
    """Return a dead letter out of a JSON object that `Filed.shown` gave and a person may have changed.

    Args:
        document: the object.
        original: the same letter as its topic has it; None where it is no longer there.

    Raises:
        KeyError, ValueError, TypeError: the object is not such a letter.
    """
    key, value = _decode_bytes(document, "key"), _decode_bytes(document, "value")
    letter = UnreadableRecord(
        document["topic"], document["partition"], document["offset"], key, value, document["time"]
    )
    whole = not document.get("cut") or (original is not None and original.letter.value != value)
    mended_key = original is None or original.letter.key != key
    return DeadLetter(letter, document["reason"], document.get("detail", ""), whole, mended_key)


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
