"""Parses the bytes of a source record into the change of one row.

Guarantees: whatever the bytes are, the result is one RowChange or BadRow is raised. The same row gives the same
RowChange in each encoding: flat, a Debezium envelope, or either of them inside Connect's schema and payload; in JSON or
in Avro.
Knows nothing of Kafka, of Quix, or of what the change does to counts.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from joiner.core.columns import Values, read_owners, read_values
from joiner.core.connect_schema import SCHEMA_FIRST, Opener, Schema, decode, is_wrapper, read_schema
from joiner.core.keys import STAND_IN, parse_key, refuse_stand_in, to_key_text
from joiner.core.plan import Table
from joiner.core.source_time import FLATTENED_TIME, read_milliseconds, read_source_time
from joiner.core.values import AVRO_FIRST, NeedsLiteralsError, load_json, load_json_exactly, parse_id
from shared.errors import BadRow

if TYPE_CHECKING:
    from joiner.core.avro import AvroDecoder

MARKERS = frozenset(("__deleted", "__op", FLATTENED_TIME, "__source_ts_us", "__source_ts_ns"))
"""What Debezium's ExtractNewRecordState says of a row beside its columns, in a flat row."""

OPERATIONS = ("c", "u", "r", "d")

_opener = Opener()


class RowChange(NamedTuple):
    """What one source record says of one row.

    Args:
        row_id: the row's primary key, as text; where the key has several columns, RowKey says what.
        values: the row's columns in the order of the table's `columns` (an owner that is None: no owner), and behind
            them, if it is a user's, the profile's fields; a value may be UNAVAILABLE. None: the row is gone.
        source_ms: when the source made the change, in epoch ms; None where the record does not say.
        is_snapshot: True where a snapshot read the row as it was, so when it changed is not known.
    """

    row_id: str
    values: Values | None
    source_ms: int | None = None
    is_snapshot: bool = False


def parse_row(table: Table, key: bytes | None, value: bytes | None, avro: "AvroDecoder | None" = None) -> RowChange:
    """Read a source record.

    Args:
        table: the table whose topic the record was in.
        key: the record's key: the row's primary key as text, as a JSON string, or in a JSON object.
        value: the row in any of the encodings; None deletes it.
        avro: reads Avro; None: no schema registry is known.

    Raises:
        BadRow: no row can be read from the bytes.
        RegistryAway: a schema cannot be had yet.
    """
    if key is None:
        raise BadRow("null-key", "the record has no key; a changelog's key is the row's primary key")
    try:
        return _parse_with(table, key, value, load_json, avro)
    except NeedsLiteralsError:
        return _parse_with(table, key, value, load_json_exactly, avro)


def _parse_with(  # noqa: C901, PLR0912 - in one piece, since calls are much of what a row costs
    table: Table, key: bytes, value: bytes | None, loads: Callable[[bytes], Any], avro: "AvroDecoder | None"
) -> RowChange:
    row_id, key_columns = parse_key(table, key, loads, avro)
    if value is None:
        return RowChange(row_id, None)
    document: Any
    schema: Schema | None = None
    try:
        if avro is not None and value[:1] == AVRO_FIRST:
            document, schema = avro.open(value)
        elif value[:8] == SCHEMA_FIRST:
            document, schema = _opener.open(table.name, value, loads)
        else:
            document = loads(value)
    except (ValueError, RecursionError) as error:
        raise _refuse(value, error) from None
    if type(document) is not dict or len(document) == 2:
        document, schema = _unwrap(document, schema)
        if document is None:
            return RowChange(row_id, None)
    row: dict[str, Any] | None = document
    operation = source_ms = None
    if table.primary_key not in document and "op" in document:
        row, operation, source_ms = _open_envelope(document)
    elif not MARKERS.isdisjoint(document):
        operation, source_ms = _read_markers(document)
    if row is None:
        return RowChange(row_id, None, source_ms)
    if schema is not None and (decoders := schema.fields if row is document else schema.row):
        row = decode(row, decoders, _find_columns(table, key_columns), table.placeholder.texts)
    found = row.get(table.primary_key)
    kind = type(found)  # text of a decoder's own class may equal the id and be none, as `1.5` and `100.00` are not
    if key_columns is not None or not ((kind is str and found == row_id) or (kind is int and str(found) == row_id)):
        _check_key(table, row, row_id, key_columns, operation)
    if operation == "d":
        if row_id == STAND_IN and row is not document:
            refuse_stand_in(table, row)
        return RowChange(row_id, None, source_ms)
    values = read_owners(table, row) if table.plain_counts else read_values(table, row)
    return RowChange(row_id, values, source_ms, operation == "r")


def _refuse(value: bytes, error: Exception) -> BadRow:
    """Return why a value that is not JSON cannot be read."""
    if value.startswith(AVRO_FIRST):
        return BadRow(
            "no-schema-registry",
            "the value begins with a zero byte, so it is Avro, or of another binary format; to read Avro, set"
            " SCHEMA_REGISTRY_URL, then replay it",
        )
    return BadRow("bad-json", f"the value is not JSON: {error}")


def _unwrap(document: Any, schema: Schema | None) -> tuple[dict[str, Any] | None, Schema | None]:  # noqa: ANN401 - JSON
    """Return a row or an envelope, and its schema; None in place of a null value, as some converters write it."""
    if schema is None and is_wrapper(document):
        document, schema = document["payload"], read_schema(document["schema"])
    if isinstance(document, dict) or (document is None and schema is not None):
        return document, schema
    raise BadRow("bad-shape", "the value is JSON, but neither a row nor an envelope; only a null value deletes")


def _find_columns(table: Table, key_columns: dict[str, str] | None) -> tuple[str, ...]:
    """Return the columns that are read."""
    return (*table.reads, *(key_columns or ()))


def _check_key(
    table: Table, row: dict[str, Any], row_id: str, key_columns: dict[str, str] | None, operation: str | None
) -> None:
    """Compare a row with its key; of a deletion, as much of the row as is there.

    Raises:
        BadRow: they contradict each other, or a row that is there has no primary key.
        NeedsLiteralsError: the digits are needed.
    """
    column = table.primary_key
    if column not in row:
        if operation != "d":
            raise BadRow("missing-column", f"the row has no column {column}")
    elif parse_id(row[column], column) != (row_id if key_columns is None else key_columns[column]):
        raise BadRow("key-mismatch", f"the key says {row_id!r}, the row's {column} says otherwise")
    if key_columns is not None:
        for name, text in key_columns.items():
            if name in table.key and name not in row and operation != "d":
                raise BadRow("missing-column", f"the row has no column {name}")
            # A deletion may not know the columns that are in the key, but not in the table's own primary key.
            if name != column and row.get(name) is not None and to_key_text(row[name], name) != text:
                raise BadRow("key-mismatch", f"the key's {name} is {text!r:.200}, the row says otherwise")


def _open_envelope(envelope: dict[str, Any]) -> tuple[dict[str, Any] | None, str, int | None]:
    """Return the row that an envelope is about, its operation, and when the source made the change."""
    operation = envelope["op"]
    if operation not in OPERATIONS:
        raise BadRow("unknown-op", f"the envelope's op is {_describe(operation)}; known are c, u, r and d")
    gone = operation == "d"
    row = envelope.get("before" if gone else "after")
    if not isinstance(row, dict) and not (gone and row is None):
        raise BadRow("bad-shape", f"the envelope's op is {operation!r}, but it carries no row")
    return row, operation, read_source_time(envelope)


def _read_markers(row: dict[str, Any]) -> tuple[str | None, int | None]:
    """Return the operation and the source's time that Debezium's ExtractNewRecordState wrote into a flat row.

    Raises:
        BadRow: it is not known what they mean, or they contradict each other.
    """
    operation = row.get("__op")
    if "__op" in row and operation not in OPERATIONS:
        raise BadRow("unknown-op", f"the row's __op is {_describe(operation)}; known are c, u, r and d")
    if "__deleted" in row:
        deleted = row["__deleted"]
        if type(deleted) not in (str, bool) or deleted not in ("true", "false", True, False):
            raise BadRow("unknown-op", f"the row's __deleted is {_describe(deleted)}; known are true and false")
        gone = deleted in ("true", True)
        if operation is not None and gone != (operation == "d"):
            raise BadRow("unknown-op", f"the row's __op is {operation!r}, and its __deleted says otherwise")
        operation = "d" if gone else operation
    for name, per_ms in ((FLATTENED_TIME, 1), ("__source_ts_us", 1_000), ("__source_ts_ns", 1_000_000)):
        time = read_milliseconds(row.get(name))
        if time is not None:
            return operation, time // per_ms
    return operation, None


def _describe(value: object) -> str:
    """Return a value as messages show it: text by itself, since anything else may be nested too deep to be printed."""
    return f"{value!r:.40}" if isinstance(value, str) else f"a {type(value).__name__}"


def read_document(value: bytes, avro: "AvroDecoder | None" = None) -> dict[str, Any] | None:
    """Return what a record of any table carries, a row or an envelope: `{}` where it is neither, None if it is null.

    Args:
        value: a record's value in any of the encodings.
        avro: reads Avro; None: no schema registry is known.

    Raises:
        RegistryAway: a schema cannot be had yet.
    """
    try:
        opened = avro.open(value) if avro is not None and value[:1] == AVRO_FIRST else (load_json(value), None)
        return _unwrap(*opened)[0]
    except (BadRow, ValueError, RecursionError):
        return {}
