"""Parses the bytes of a source record into the change of one row.

Guarantees: whatever the bytes are, the result is one RowChange or BadRow is raised. The same row gives the same
RowChange in each encoding: flat JSON, a Debezium envelope, or either of them inside Connect's schema and payload.
Knows nothing of Kafka, of Quix, or of what the change does to counts.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import orjson

from joiner.core.source_time import FLATTENED_TIME, read_milliseconds, read_source_time
from shared.errors import BadRow
from shared.records import MAX_ID_BYTES, PROFILE_COLUMNS, UNAVAILABLE, Table
from shared.topics import MAX_RECORD_BYTES

Values: TypeAlias = tuple[str | None, ...]
"""What is taken of a row: its owners, or the fields of its profile."""

ENVELOPE_BYTES = 64 * 1024
"""Room that a record needs besides its profile: key, counts, field names, framing."""


class RowChange(NamedTuple):
    """What one source record says of one row.

    Args:
        row_id: the row's primary key, as text.
        values: the row's owners (None: no owner), or for `users` the profile's fields in PROFILE_COLUMNS' order; a
            value may be UNAVAILABLE. None: the row is gone.
        source_ms: when the source made the change, in epoch ms; None where the record does not say.
        is_snapshot: True where a snapshot read the row as it was, so when it changed is not known.
    """

    row_id: str
    values: Values | None
    source_ms: int | None = None
    is_snapshot: bool = False


class _Literal(str):
    """A JSON number as it was written: no digit is lost, however long it is."""

    __slots__ = ()


class _NeedsLiteralsError(Exception):
    """A float may have rounded a number that matters: the document is read again, keeping the digits."""


def parse_row(table: Table, key: bytes | None, value: bytes | None) -> RowChange:
    """Read a source record.

    Args:
        table: the table whose topic the record was in.
        key: the record's key: the row's primary key as text, as a JSON string, or in a JSON object.
        value: the row in any of the encodings; None deletes it.

    Raises:
        BadRow: no row can be read from the bytes.
    """
    if key is None:
        raise BadRow("null-key", "the record has no key; a changelog's key is the row's primary key")
    try:
        return _parse_with(table, key, value, _load_json)
    except _NeedsLiteralsError:
        return _parse_with(table, key, value, _load_json_exactly)


def _parse_with(table: Table, key: bytes, value: bytes | None, loads: Callable[[bytes], Any]) -> RowChange:
    row_id = _parse_key(table, key, loads)
    if value is None:
        return RowChange(row_id, None)
    try:
        document = loads(value)
    except (ValueError, RecursionError) as error:
        raise BadRow("bad-json", f"the value is not JSON: {error}") from None
    document = _unwrap(document)
    row, gone, source_ms = _extract_row(table, document)
    if row is not None and table.primary_key in row:
        if _parse_id(row[table.primary_key], table.primary_key) != row_id:
            raise BadRow("key-mismatch", f"the key says {row_id!r}, the row's {table.primary_key} says otherwise")
    elif not gone:
        raise BadRow("missing-column", f"the row has no column {table.primary_key}")
    if gone or row is None:
        return RowChange(row_id, None, source_ms)
    values = _parse_owners(table, row) if table.owners else _parse_profile(row)
    return RowChange(row_id, values, source_ms, row is not document and document["op"] == "r")


def _extract_row(table: Table, document: dict[str, Any]) -> tuple[dict[str, Any] | None, bool, int | None]:
    """Return the row that a document is about, whether it is gone, and when the source made the change."""
    if table.primary_key in document or "op" not in document:
        time_ms = document.get(FLATTENED_TIME)
        return document, False, None if time_ms is None else read_milliseconds(time_ms)
    operation = document["op"]
    if operation not in ("c", "u", "r", "d"):
        raise BadRow("unknown-op", f"the envelope's op is {_describe(operation)}; known are c, u, r and d")
    gone = operation == "d"
    row = document.get("before" if gone else "after")
    if not isinstance(row, dict) and not (gone and row is None):
        raise BadRow("bad-shape", f"the envelope's op is {operation!r}, but it carries no row")
    return row, gone, read_source_time(document)


def _describe(value: object) -> str:
    """Return a value as messages show it: text by itself, since anything else may be nested too deep to be printed."""
    return f"{value!r:.40}" if isinstance(value, str) else f"a {type(value).__name__}"


def read_document(value: bytes) -> dict[str, Any] | None:
    """Return what a record of any table carries, a row or an envelope; None where it is neither.

    Args:
        value: a record's value in any of the encodings.
    """
    try:
        return _unwrap(_load_json(value))
    except (BadRow, ValueError, RecursionError):
        return None


def _parse_key(table: Table, key: bytes, loads: Callable[[bytes], Any]) -> str:
    """Return the row id that a key names: the key as text, or out of a JSON string or a JSON object."""
    if key.lstrip(b" \t\r\n")[:1] in (b"{", b'"'):
        try:
            document = loads(key)
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, str):
            return _parse_id(document, "the key")
        if isinstance(document, dict):
            if table.primary_key not in document and _is_wrapper(document):
                document = document["payload"]
            if isinstance(document, dict) and table.primary_key in document:
                return _parse_id(document[table.primary_key], "the key")
    try:
        return _parse_id(key.decode(), "the key")
    except UnicodeDecodeError:
        raise BadRow("bad-key", "the key is not UTF-8") from None


def _is_wrapper(document: dict[str, Any]) -> bool:
    return len(document) == 2 and "schema" in document and "payload" in document


def _unwrap(document: object) -> dict[str, Any]:
    if isinstance(document, dict) and _is_wrapper(document):
        document = document["payload"]
    if not isinstance(document, dict):
        raise BadRow("bad-shape", "the value is JSON, but neither a row nor an envelope; only a null value deletes")
    return document


def _parse_id(value: object, where: str) -> str:
    """Return an id as text, exactly as written; a fraction, a boolean or an empty text is not an id."""
    kind = type(value)
    if kind is str or kind is int:
        text = str(value)
    elif kind is float:
        raise _NeedsLiteralsError
    elif kind is _Literal and re.fullmatch(r"-?[0-9]+", str(value)):
        text = str(value)
    elif value is None:
        raise BadRow("null-id", f"{where} is null")
    else:
        raise BadRow("bad-id", f"{where} is neither text nor an integer")
    if not text or len(text if text.isascii() else text.encode()) > MAX_ID_BYTES:
        raise BadRow("bad-id", f"{where} is not 1 to {MAX_ID_BYTES} bytes long in UTF-8")
    return text


def _parse_owners(table: Table, row: dict[str, Any]) -> Values:
    owners = []
    for column in table.owners:
        if column not in row:
            raise BadRow("missing-column", f"the row has no column {column}")
        owner = row[column]
        owners.append(None if owner is None else _parse_id(owner, column))
    return tuple(owners)


def _parse_profile(row: dict[str, Any]) -> Values:
    profile = tuple([_to_text(row.get(column), column) for column in PROFILE_COLUMNS])
    if not fits(profile):
        raise BadRow("too-large", f"the profile does not fit into a record of {MAX_RECORD_BYTES} bytes")
    return profile


def fits(profile: Values) -> bool:
    """Return whether a profile fits into a record."""
    room = MAX_RECORD_BYTES - ENVELOPE_BYTES
    # A character takes at most six bytes, as an escape, so few profiles must be rendered to be measured.
    return sum([len(text) for text in profile if text]) * 6 <= room or len(orjson.dumps(profile)) <= room


def _to_text(value: object, column: str) -> str | None:
    """Return a profile field as text: a number or a boolean becomes its JSON text."""
    if value is None or type(value) is str:
        return value
    if type(value) is float:
        raise _NeedsLiteralsError
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | _Literal):
        return str(value)
    raise BadRow("not-text", f"the column {column} holds an object or an array")


def _load_json(text: bytes) -> Any:  # noqa: ANN401 - JSON may be anything
    try:
        return orjson.loads(text)
    except ValueError:
        # It is valid JSON all the same if it holds a number that no float can, such as a long integer id.
        return _load_json_exactly(text)


def _load_json_exactly(text: bytes) -> Any:  # noqa: ANN401 - JSON may be anything
    document = json.loads(text.decode(), parse_int=_to_literal, parse_float=_Literal, parse_constant=_refuse_constant)
    # The standard library accepts half a surrogate pair, which cannot be encoded in UTF-8: this raises ValueError.
    json.dumps(document, ensure_ascii=False).encode()
    return document


def _to_literal(digits: str) -> _Literal:
    return _Literal("0" if digits == "-0" else digits)  # as orjson has it


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def is_unavailable(value: str | None) -> bool:
    """Return whether Debezium left a value out because the change did not touch it."""
    return value == UNAVAILABLE
