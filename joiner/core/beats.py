"""Reads out of a record of the topic of heartbeats when it was made, by the source's clock and by no other.

A heartbeat promises that all earlier changes have reached Kafka. When a record was sent, or appended by a broker, says
nothing about that: what is late is sent late, too. So a record without the source's time gives no heartbeat, and the
reason. Pure.
"""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from joiner.core.rows import read_document
from joiner.core.source_time import FLATTENED_TIME, read_milliseconds, read_source_time
from shared.clock import MAX_AHEAD_MS

if TYPE_CHECKING:
    from joiner.core.avro import AvroDecoder

BEAT_COLUMN = "beat_at"
"""The column of the table `heartbeats` that the database sets to its own time."""

OWN_TIME = "joinerTimeMs"
"""Where a joiner that writes heartbeats itself puts its own time, so that nobody takes it for the source's."""

STREAMED = ("c", "u", "d")
"""Operations whose time is that of the change. A snapshot's row has the time of the snapshot."""

NO_TIME = (
    "they do not say when the source made them; have the connector send Debezium's envelopes, or flatten them with"
    f" add.fields=op,source.ts_ms, or give the table a column {BEAT_COLUMN} of type timestamptz"
)

NO_OPERATION = (
    f"their {FLATTENED_TIME} may be the time of a snapshot, since they do not say which operation they are of; flatten"
    " them with add.fields=op,source.ts_ms"
)

NOT_FOR_ALL = (
    "another joiner writes them, and this one takes them from the source only; set JOINER_WRITES_HEARTBEATS for all"
    " joiners of the group, or for none"
)


class Beat(NamedTuple):
    """What one record says.

    Args:
        time_ms: when it was made at the source, epoch ms; None: no heartbeat comes of it.
        problem: why none comes of it, and what to do; None where there is nothing to do.
    """

    time_ms: int | None
    problem: str | None = None


def encode_own_beat(time_ms: int) -> bytes:
    """Return the value of a heartbeat that the joiner writes itself, of its own time in epoch ms."""
    return json.dumps({OWN_TIME: time_ms}).encode()


def read_beat(value: bytes | None, now_ms: int, *, accepts_own: bool, avro: "AvroDecoder | None" = None) -> Beat:
    """Return what a record says.

    Args:
        value: the record's value; the row in any of the encodings.
        now_ms: this machine's time.
        accepts_own: what a joiner has written counts, too.
        avro: reads Avro; None: no schema registry is known.

    Raises:
        RegistryAway: a schema cannot be had yet.
    """
    document = None if value is None else read_document(value, avro)
    # A snapshot's row was made before the connector came to be, and says nothing of what is still to be sent of the
    # snapshot. `{}` is what joiners wrote before they wrote the time.
    if document is None or _is_snapshot(document) or (accepts_own and not document):
        return Beat(None)
    time_ms = read_milliseconds(document.get(OWN_TIME)) if accepts_own else None
    time_ms = time_ms or _read_source_time(document)
    if time_ms is None:
        return Beat(None, _explain(document))
    if time_ms > now_ms + MAX_AHEAD_MS:
        ahead = (time_ms - now_ms) / 1000
        return Beat(None, f"their time is {ahead:.1f} s in the future; set the clocks of the source and of the joiners")
    # A reader counts from this: nothing is younger than 0.
    return Beat(min(time_ms, now_ms))


def is_streamed(value: bytes | None, avro: "AvroDecoder | None" = None) -> bool:
    """Return whether a record says that no snapshot has read it, but that its connector streams changes."""
    document = (read_document(value, avro) if value is not None else None) or {}
    return document.get("op") in STREAMED or document.get("__op") in STREAMED


def _explain(document: dict[str, Any]) -> str:
    """Return why a record gives no heartbeat, and what to do."""
    if OWN_TIME in document:
        return NOT_FOR_ALL
    return NO_OPERATION if FLATTENED_TIME in document and "__op" not in document else NO_TIME


def _is_snapshot(document: dict[str, Any]) -> bool:
    return "r" in (document.get("op"), document.get("__op"))


def _read_source_time(document: dict[str, Any]) -> int | None:
    """Return the source's time of a row or an envelope, epoch ms."""
    if isinstance(document.get("source"), dict):
        return read_source_time(document) if document.get("op") in STREAMED else None
    after = document.get("after")
    row = after if isinstance(after, dict) else document
    flattened = read_milliseconds(row.get(FLATTENED_TIME)) if row.get("__op") in STREAMED else None
    # Without an operation the column serves all the same: the row of a snapshot has the time of the last change in it.
    return flattened or _read_text_time(row.get(BEAT_COLUMN))


def _read_text_time(value: object) -> int | None:
    """Return the time that ISO 8601 text names, epoch ms; None without a zone, since it may be any city's time then.

    A number is None as well: Debezium makes one of a column without a zone, which has the time of the database's.
    """
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        return None if time is None or time.tzinfo is None else int(time.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
