"""Avro and JSON of the same row, as the same connector writes it with either converter, are the same row."""

import base64
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from joiner.core.plan import compile_view
from joiner.core.rows import RowChange, parse_row
from shared.errors import BadRow
from shared.view.model import Field, Source, View
from tests.support.avro import BOOK, DECODER

KAFKA, TIME, DATA = "org.apache.kafka.connect.data.", "io.debezium.time.", "io.debezium.data."


class Column(NamedTuple):
    """One type of a column.

    Args:
        avro: its schema in Avro.
        connect: its schema in Connect's words.
        values: what rows hold, as Avro's writer takes it.
        to_json: what JsonConverter writes of it.
    """

    avro: Any
    connect: dict[str, Any]
    values: st.SearchStrategy[Any]
    to_json: Callable[[Any], Any] = lambda value: value


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _named(avro: str, connect: str, name: str, values: st.SearchStrategy[Any], logical: str | None = None) -> Column:
    own = {"type": avro, "connect.version": 1, "connect.name": name}
    return Column({**own, "logicalType": logical} if logical else own, {"type": connect, "name": name}, values)


def _logical(avro: str, connect: str, name: str, values: st.SearchStrategy[Any], logical: str) -> Column:
    return Column({"type": avro, "logicalType": logical}, {"type": connect, "name": name}, values)


ints, longs = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
millis = st.integers(-(2**40), 2**42)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
raw = st.binary(max_size=9)
# Without Java, whose text is compared in tests/unit/test_avro.py: what both languages write alike.
plain_doubles = st.integers(-(10**6), 10**6).map(lambda number: number / 8)
decimal = {"type": "bytes", "name": KAFKA + "Decimal", "parameters": {"scale": "2"}}
variable = {
    "type": "record",
    "name": "VariableScaleDecimal",
    "namespace": "io.debezium.data",
    "connect.name": DATA + "VariableScaleDecimal",
    "fields": [{"name": "scale", "type": "int"}, {"name": "value", "type": "bytes"}],
}
COLUMNS = [
    Column("int", {"type": "int32"}, ints),
    Column({"type": "int", "connect.type": "int16"}, {"type": "int16"}, st.integers(-(2**15), 2**15 - 1)),
    Column("long", {"type": "int64"}, longs),
    Column("string", {"type": "string"}, texts),
    Column({"type": "string", "connect.name": TIME + "ZonedTimestamp"}, {"name": TIME + "ZonedTimestamp"}, texts),
    Column("boolean", {"type": "boolean"}, st.booleans()),
    Column("double", {"type": "double"}, plain_doubles),
    Column("float", {"type": "float"}, st.integers(-1000, 1000).map(lambda number: number / 4)),
    Column("bytes", {"type": "bytes"}, raw, _base64),
    Column({"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}, decimal, raw, _base64),
    Column(
        {"type": "bytes", "connect.name": KAFKA + "Decimal", "connect.parameters": {"scale": "2"}},
        decimal,
        raw,
        _base64,
    ),
    Column(
        variable,
        {"type": "struct", "name": DATA + "VariableScaleDecimal"},
        st.builds(lambda scale, value: {"scale": scale, "value": value}, st.integers(-3, 9), raw),
        lambda value: {"scale": value["scale"], "value": _base64(value["value"])},
    ),
    Column(
        {"type": "enum", "name": "Mood", "symbols": ["ok", "sad"]}, {"type": "string"}, st.sampled_from(["ok", "sad"])
    ),
    Column(
        {"type": "array", "items": ["null", "bytes"]},
        {"type": "array"},
        st.lists(raw, max_size=2),
        lambda v: [*map(_base64, v)],
    ),
    Column({"type": "map", "values": "long"}, {"type": "map"}, st.dictionaries(texts, longs, max_size=2)),
    _named("int", "int32", TIME + "Date", ints),
    _named("int", "int32", KAFKA + "Date", ints, "date"),
    _named("int", "int32", TIME + "Time", st.integers(0, 86_399_999)),
    _named("long", "int64", TIME + "Timestamp", millis),
    _named("long", "int64", TIME + "MicroTimestamp", longs),
    _named("long", "int64", TIME + "NanoTimestamp", longs),
    _named("long", "int64", KAFKA + "Timestamp", millis, "timestamp-millis"),
    _logical("int", "int32", KAFKA + "Date", ints, "date"),
    _logical("long", "int64", KAFKA + "Timestamp", millis, "timestamp-millis"),
    _logical("long", "int64", TIME + "MicroTimestamp", longs, "timestamp-micros"),
    _logical("long", "int64", TIME + "MicroTime", st.integers(0, 86_399_999_999), "time-micros"),
]

IDS = [Column("long", {"type": "int64"}, st.just(1)), Column("string", {"type": "string"}, st.just("1"))]

TABLE = compile_view(
    View(
        "things",
        "id",
        "id",
        (Field("a", "a"), Field("b", "b"), Field("c", "c", "json")),
        (),
        (Source("things", "things", ("id",)),),
    )
).tables["things"]


@st.composite
def things(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draw a row: in Avro, and as JsonConverter writes it with its schema."""
    columns = {name: draw(st.sampled_from(COLUMNS)) for name in "abc"}
    optional = {name: draw(st.booleans()) for name in columns}
    columns["id"] = draw(st.sampled_from(IDS))
    row = {
        name: None if optional.get(name) and draw(st.booleans()) else draw(each.values)
        for name, each in columns.items()
    }
    before = draw(st.booleans())
    avro_row = _record(columns, optional)
    connect_fields = [{**each.connect, "field": name} for name, each in columns.items()]
    json_row = {name: None if row[name] is None else each.to_json(row[name]) for name, each in columns.items()}
    if draw(st.booleans()):
        document = {"schema": {"type": "struct", "fields": connect_fields}, "payload": json_row}
        return BOOK.write(avro_row, row), json.dumps(document).encode()
    fields = [{"type": "struct", "fields": connect_fields, "field": name} for name in ("before", "after")]
    envelope = {
        "type": "record",
        "name": "Envelope",
        "fields": [
            {"name": "before", "type": ["null", avro_row]},
            {"name": "after", "type": ["null", avro_row["name"]]},
            {"name": "op", "type": "string"},
            {
                "name": "source",
                "type": {"type": "record", "name": "Source", "fields": [{"name": "ts_ms", "type": "long"}]},
            },
        ],
    }
    rest = {"op": "u", "source": {"ts_ms": 5}}
    payload = {"before": json_row if before else None, "after": json_row, **rest}
    document = {"schema": {"type": "struct", "fields": fields}, "payload": payload}
    return (
        BOOK.write(envelope, {"before": row if before else None, "after": row, **rest}),
        json.dumps(document).encode(),
    )


def _record(columns: dict[str, Column], optional: dict[str, bool]) -> dict[str, Any]:
    """Return a row's schema; a type that has a name is defined once."""
    defined: set[str] = set()
    fields = []
    for column, each in columns.items():
        avro = each.avro
        if isinstance(avro, dict) and "name" in avro:
            whole = f"{avro['namespace']}.{avro['name']}" if "namespace" in avro else avro["name"]
            avro = whole if whole in defined else avro
            defined.add(whole)
        fields.append({"name": column, "type": ["null", avro] if optional.get(column) else avro})
    return {"type": "record", "name": "Row", "fields": fields}


def read(value: bytes) -> RowChange | str:
    """Return the row, or why there is none."""
    try:
        return parse_row(TABLE, b"1", value, DECODER)
    except BadRow as bad:
        return bad.reason


@given(things())
def test_a_row_is_the_same_in_avro_and_in_json(encoded: tuple[bytes, bytes]) -> None:
    """Each type of Connect and of Debezium, null or not, flat or in an envelope, is read or refused alike."""
    in_avro, in_json = encoded
    assert read(in_json) == read(in_avro)
