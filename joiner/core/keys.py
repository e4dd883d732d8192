"""Reads which row a source record's key names.

Several key columns are one identity. A key that no row can be read from is refused, with a value as with null: else a
deletion under it would delete nothing, and nobody would know.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from joiner.core.connect_schema import (
    SCHEMA_FIRST,
    Opener,
    Schema,
    decode,
    decode_value,
    is_wrapper,
    read_schema,
)
from joiner.core.plan import Table
from joiner.core.values import AVRO_FIRST, DecimalText, is_unreadable, parse_id, refuse_encoded_number, to_text
from shared.errors import BadRow

if TYPE_CHECKING:
    from joiner.core.avro import AvroDecoder

COMPOSITE_PREFIX = "\0"
"""What the id of a row with several key columns begins with; no other id of a row does, and no text of PostgreSQL."""

MAX_COMPOSITE_CHARACTERS = 4_096
"""No row of a PostgreSQL index is as long; the identity is a key of the store and of its changelog."""

STAND_IN = "0"
"""What Debezium writes in place of a number that was not sent and cannot be null."""

_NOT_PLAIN = frozenset((b"{", b'"', b"[", b" ", b"\t", b"\r", b"\n", b"S", AVRO_FIRST))
"""First bytes of keys that may be something else than an id's text."""

_JSON = (b"{", b'"', b"[")

_WANTS_JSON = "set the connector's key.converter to JsonConverter"

_opener = Opener()


RowKey: TypeAlias = tuple[str, dict[str, str] | None]
"""Which row a key names: its id, and where the key has several columns their values as text, else None.

The id is the primary key; of several columns COMPOSITE_PREFIX and a JSON object, column -> value as text, sorted by
name. The names are part of it, so no two sets of columns name one row.
"""


def parse_key(table: Table, key: bytes, loads: Callable[[bytes], Any], avro: "AvroDecoder | None" = None) -> RowKey:
    """Return which row a key names: the key as text, or out of JSON or Avro.

    Args:
        table: whose row it is.
        key: a record's key.
        loads: reads JSON.
        avro: reads Avro; None: no schema registry is known.

    Raises:
        BadRow: no id can be read from the key.
        NeedsLiteralsError: the digits are needed.
        RegistryAway: a schema cannot be had yet.
    """
    if key[:1] in _NOT_PLAIN:
        if avro is not None and key[:1] == AVRO_FIRST:
            return _parse_document(table, *avro.open_key(key))
        row_key = _parse_json_key(table, key, loads)
        if row_key is not None:
            return row_key
        _refuse_binary(key)
    if table.only_key is None:
        raise BadRow("bad-key", f"the key names no columns, and the row's key is {_name(table.key)}; {_WANTS_JSON}")
    try:
        return parse_id(key.decode(), "the key"), None
    except UnicodeDecodeError:
        raise BadRow("bad-key", "the key is not UTF-8") from None


def _parse_json_key(table: Table, key: bytes, loads: Callable[[bytes], Any]) -> RowKey | None:
    """Return which row a key names that is a JSON object, array or string; None if it is none of these."""
    text = key.lstrip(b" \t\r\n")
    if text[:1] not in _JSON:
        return None
    schema = None
    try:
        if text[:8] == SCHEMA_FIRST:
            document, schema = _opener.open(table.name, text, loads)
        else:
            document = loads(text)
            if type(document) is dict and len(document) == 1 and table.only_key in document:
                # This is how a connector without schemas writes most keys.
                found = document[table.only_key]
                if type(found) is int:
                    return str(found), None
                refuse_encoded_number(found)
                return _check_prefix(table, parse_id(found, "the key")), None
    except (ValueError, RecursionError):
        if text.startswith(b'{"'):
            raise BadRow("bad-key", "the key begins like a JSON object, and is not JSON") from None
        return None
    if schema is None and is_wrapper(document):
        document, schema = document["payload"], read_schema(document["schema"])
    return _parse_document(table, document, schema)


def _parse_document(table: Table, document: Any, schema: Schema | None) -> RowKey:  # noqa: ANN401 - JSON
    """Return which row a key names, given what the key holds."""
    if schema is not None and schema.payload is not None and document is not None:
        document = decode_value(document, schema.payload, "the key")
    if type(document) is dict:
        return _parse_fields(table, document, schema)
    return _parse_scalar(table, document, schema)


def refuse_stand_in(table: Table, row: dict[str, Any]) -> None:
    """Refuse an envelope's deletion of 0 that has other columns; a row that has this id, its tombstone deletes.

    Raises:
        BadRow: it is such a deletion.
    """
    if any(value is not None for column, value in row.items() if column != table.primary_key):
        raise BadRow(
            "null-id",
            f"the deletion says 0, as Debezium does where {table.primary_key} is not in the table's REPLICA IDENTITY;"
            " set it to DEFAULT or FULL, and reload the source topics",
        )


def _refuse_binary(key: bytes) -> None:
    """Refuse keys of converters that write neither text nor JSON, but what can be taken for text.

    Raises:
        BadRow: it is such a key.
    """
    if key.startswith(AVRO_FIRST):
        raise BadRow(
            "bad-key",
            "the key begins with a zero byte, so it is a binary number, Avro or Protobuf; to read Avro, set"
            " SCHEMA_REGISTRY_URL, then replay it; else set the connector's key.converter to JsonConverter or"
            " StringConverter",
        )
    if key.startswith(b"Struct{"):
        raise BadRow(
            "bad-key",
            f"the key is a Connect struct printed by StringConverter, which cannot be read back; {_WANTS_JSON}",
        )


def _parse_fields(table: Table, fields: dict[str, Any], schema: Schema | None) -> RowKey:
    primary_key = table.primary_key
    if missing := [column for column in table.key if column not in fields]:
        found = _name(fields) or "no columns"
        raise BadRow("bad-key", f"the key has {found:.200}, and not {missing[0]}, which names the row")
    if schema is not None and schema.fields:
        fields = decode(fields, schema.fields, fields, ())
    row_id = parse_id(fields[primary_key], "the key")
    if len(fields) == 1:
        return _check_prefix(table, row_id), None
    names = sorted(fields)
    if table.fields is not None:
        raise BadRow(
            "bad-key", f"the key has the columns {_name(fields):.200}; a user's id is one column, {primary_key}"
        )
    columns = {name: row_id if name == primary_key else to_key_text(fields[name], name) for name in names}
    identity = COMPOSITE_PREFIX + _dump(columns)
    if len(identity) > MAX_COMPOSITE_CHARACTERS:
        raise BadRow(
            "bad-key", f"the key's columns have {len(identity):,} characters; at most {MAX_COMPOSITE_CHARACTERS:,}"
        )
    return identity, columns


def _dump(columns: dict[str, str]) -> str:
    try:
        return orjson.dumps(columns).decode()
    except TypeError:  # half an emoji
        raise BadRow("bad-key", "the key holds text that UTF-8 cannot hold, such as half an emoji") from None


def _name(fields: Iterable[str]) -> str:
    """Return the names of columns for a message, which half an emoji in one must not break."""
    return ", ".join(sorted(fields)).encode(errors="backslashreplace").decode()


def _parse_scalar(table: Table, document: object, schema: Schema | None) -> RowKey:
    if document is None:
        raise BadRow("null-key", "the key's payload is null; a changelog's key is the row's primary key")
    if isinstance(document, list | bool) or table.only_key is None:
        raise BadRow("bad-key", f"the key is JSON, but holds no {_name(table.key)}")
    if is_unreadable(document):
        raise BadRow("bad-key", "the key holds text that UTF-8 cannot hold, such as half an emoji")
    if schema is None:
        refuse_encoded_number(document)
    row_id = parse_id(document, "the key")
    if row_id.startswith('{"'):
        raise BadRow("bad-key", "the key is a JSON object inside a JSON string; set the connector's key.converter")
    return _check_prefix(table, row_id), None


def _check_prefix(table: Table, row_id: str) -> str:
    if row_id[0] == COMPOSITE_PREFIX and table.fields is None:
        raise BadRow("bad-key", "the key begins with the character U+0000, which no text of PostgreSQL holds")
    return row_id


def to_key_text(value: object, column: str) -> str:
    """Return the value of one of several key columns as text; 5 and "5" are the same, as in ids.

    Raises:
        BadRow: the value is null, an object or an array.
        NeedsLiteralsError: the digits are needed.
    """
    try:
        text = to_text(value, column)
    except BadRow as bad:
        raise BadRow("bad-key", f"the key: {bad.detail}") from None
    if text is None:
        # Debezium writes so what it was not sent: an update of that column left the row under its old key, unseen.
        hint = "if message.key.columns names it, its table needs REPLICA IDENTITY FULL"
        raise BadRow("bad-key", f"the key's column {column} is null; {hint}")
    if isinstance(value, DecimalText) and "." in text:
        return text.rstrip("0").rstrip(".")  # Numbers are equal whatever their scale.
    return text
