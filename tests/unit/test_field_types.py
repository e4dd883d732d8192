"""A column's value -> the text of a field of each type, in each form that a source may send it in."""

import base64
import json
import re
from collections.abc import Mapping

import pytest

from joiner.core.field_types import read_field
from joiner.core.plan import compile_view
from joiner.core.rows import parse_row
from joiner.core.users import UserState, render_record
from shared.errors import BadRow
from shared.unavailable import DEFAULT_PLACEHOLDER, UNAVAILABLE
from shared.view.model import Field, FieldType, Source, View


def view_of(kind: FieldType, scale: int = 0) -> View:
    """Return a view whose records have one field, `v`."""
    return View("t", "id", "id", (Field("v", "v", kind, scale),), (), (Source("t", "t", ("id",)),))


def read(kind: FieldType, text: str, scale: int = 0, schema: Mapping[str, object] | None = None) -> str:
    """Return what the record shows of a value, given as JSON."""
    plan = compile_view(view_of(kind, scale))
    value = f'{{"id":1,"v":{text}}}'
    if schema is not None:
        value = f'{{"schema":{json.dumps({"type": "struct", "fields": [{"field": "v", **schema}]})},"payload":{value}}}'
    values = parse_row(plan.tables["t"], b"1", value.encode()).values
    record = render_record(plan, "1", UserState(values))
    assert record is not None
    return record.decode().removeprefix('{"id":"1","v":').removesuffix("}")


def encode(unscaled: int) -> str:
    """Return Debezium's bytes of a decimal, as JSON."""
    return json.dumps(base64.b64encode(unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)).decode())


DATES = [("0", "1970-01-01"), ("-1", "1969-12-31"), ("19782", "2024-02-29"), ('"2024-02-29"', "2024-02-29")]


@pytest.mark.parametrize(("text", "shown"), [("null", "null"), *((sent, f'"{day}"') for sent, day in DATES)])
def test_a_date_is_days_since_1970_or_its_text(text: str, shown: str) -> None:
    """Both end in ISO 8601."""
    assert shown == read("date", text)


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ("timestamp-millis", "1231898676000", "2009-01-14T02:04:36.000Z"),
        ("timestamp-micros", "1231898676000000", "2009-01-14T02:04:36.000000Z"),
        ("timestamp-nanos", "1231898676000000001", "2009-01-14T02:04:36.000000001Z"),
        ("timestamp-micros", "-1", "1969-12-31T23:59:59.999999Z"),
        ("timestamp-micros", '"2009-01-14T02:04:36.5Z"', "2009-01-14T02:04:36.500000Z"),
        ("timestamp-micros", '"2009-01-14T02:04:36Z"', "2009-01-14T02:04:36.000000Z"),
        ("timestamp-millis", '"2009-01-14T02:04:36.123000Z"', "2009-01-14T02:04:36.123Z"),
        ("timestamp-millis", '"2009-01-14T01:04:36.123-01:00"', "2009-01-14T02:04:36.123Z"),
        ("timestamp-millis", '"0099-01-14T01:04:36Z"', "0099-01-14T01:04:36.000Z"),
    ],
)
def test_a_timestamp_is_a_number_since_1970_or_its_text(kind: FieldType, text: str, shown: str) -> None:
    """Both end in ISO 8601 in UTC, with as many decimals as the unit has."""
    assert f'"{shown}"' == read(kind, text)


@pytest.mark.parametrize(
    ("text", "scale", "shown"),
    [
        ("12", 2, "12.00"),
        ("12.5", 2, "12.50"),
        ("12.5000", 2, "12.50"),
        ("-0.5", 1, "-0.5"),
        ("1.25e1", 1, "12.5"),
        ('"12.50"', 2, "12.50"),
        ('"12"', 2, "12.00"),
        ('"1234"', 0, "1234"),
        ('"-7"', 0, "-7"),
        (encode(1250), 2, "12.50"),
        (encode(-1), 3, "-0.001"),
        (encode(0), 2, "0.00"),
        (f"1{'0' * 100}.25", 2, f"1{'0' * 100}.25"),
    ],
)
def test_a_decimal_is_a_number_its_text_or_its_bytes(text: str, scale: int, shown: str) -> None:
    """All end in text with the field's places, digit for digit."""
    assert f'"{shown}"' == read("decimal", text, scale)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1", "1"),
        ("1.50", "1.50"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("true", "true"),
        ('"text"', '"text"'),
        ('"{\\"a\\": 1}"', '"{\\"a\\": 1}"'),
        ('{ "a" : [1, 2.00, {"b": null}], "é": "é\\n" }', '{"a":[1,2.00,{"b":null}],"é":"é\\n"}'),
        ("[1e999, -0]", "[1e999,0]"),
    ],
)
def test_json_is_passed_on_as_it_is(text: str, shown: str) -> None:
    """Numbers keep their digits, at any depth; blanks between are not kept."""
    assert shown == read("json", text)


CONNECT, DEBEZIUM = "org.apache.kafka.connect.data", "io.debezium.time"


@pytest.mark.parametrize(
    ("kind", "scale", "text", "schema"),
    [
        ("date", 0, "19782", {"type": "int32", "name": f"{DEBEZIUM}.Date"}),
        ("date", 0, "19782", {"type": "int32", "name": f"{CONNECT}.Date"}),
        ("timestamp-millis", 0, "1231898676001", {"type": "int64", "name": f"{DEBEZIUM}.Timestamp"}),
        ("timestamp-micros", 0, "1231898676000001", {"type": "int64", "name": f"{DEBEZIUM}.MicroTimestamp"}),
        ("timestamp-nanos", 0, "1231898676000000001", {"type": "int64", "name": f"{DEBEZIUM}.NanoTimestamp"}),
        ("decimal", 2, encode(1250), {"type": "bytes", "name": f"{CONNECT}.Decimal", "parameters": {"scale": "2"}}),
    ],
)
def test_a_schema_beside_the_row_changes_nothing(
    kind: FieldType, scale: int, text: str, schema: Mapping[str, object]
) -> None:
    """What it has decoded already is the text that the type would have made."""
    assert read(kind, text, scale) == read(kind, text, scale, schema)


BAD: list[tuple[FieldType, int, str, str, str]] = [
    ("text", 0, "{}", "not-text", "the column v holds an object or an array"),
    ("date", 0, "true", "bad-value", "the column v is no date: neither days since 1970 nor text such as 2024-02-29"),
    ("date", 0, "1.5", "bad-value", "the column v is no date: a number of more than 0 places"),
    ("date", 0, '"19782"', "bad-value", "neither days since 1970"),
    ("date", 0, '"2023-02-29"', "bad-value", "the column v is no date: day is out of range"),
    ("date", 0, "99999999", "bad-value", "the column v is no date"),
    ("date", 0, "NaN", "bad-json", "the value is not JSON"),
    ("timestamp-micros", 0, '"2009-01-14T02:04:36"', "bad-value", "neither a number since 1970 nor text such as"),
    ("timestamp-micros", 0, '"2009-01-14T25:04:36Z"', "bad-value", "hour must be in 0..23"),
    ("timestamp-millis", 0, '"2009-01-14T02:04:36.0001Z"', "bad-value", "it has more than 3 decimals"),
    ("timestamp-millis", 0, "1" + "0" * 20, "bad-value", "the column v is no timestamp-millis"),
    ("timestamp-millis", 0, '"0001-01-01T00:00:00+10:00"', "bad-value", "the column v is no timestamp-millis"),
    ("decimal", 2, "1.255", "bad-value", "the column v is no decimal: a number of more than 2 places"),
    ("decimal", 2, '"NaN"', "bad-value", "the column v is no decimal: no number"),
    ("decimal", 2, '"Infinity"', "bad-value", "the column v is no decimal: no number"),
    ("decimal", 2, '""', "bad-value", "no number"),
    ("decimal", 2, "true", "bad-value", "no number"),
    ("decimal", 2, '{"scale":0,"value":"ZA=="}', "bad-value", "set decimal.handling.mode=string"),
    ("decimal", 2, '"1234"', "bad-value", "1234 may be digits or bytes in base64: set decimal.handling.mode=string"),
    ("decimal", 2, '"1234"', "bad-value", "text has a point where the column declares places, as numeric(12, 2) does"),
    ("decimal", 0, encode(1250), "bad-value", "no number; without places bytes look like digits: set decimal."),
    ("decimal", 0, "1e1001", "bad-value", "a number of more than 1,000 digits"),
    ("decimal", 0, f'"{"1" * 1_001}"', "bad-value", "a number of more than 1,000 digits"),
    ("json", 0, '[{"a": NaN}]', "bad-json", "the value is not JSON: the column v holds"),
    ("json", 0, '["\\ud800"]', "bad-value", "cannot be passed on: it is nested too deep, or holds text that is not"),
    ("json", 0, "[" * 500 + "]" * 500, "bad-value", "cannot be passed on: it is nested too deep"),
]


@pytest.mark.parametrize(("kind", "scale", "text", "reason", "said"), BAD, ids=range(len(BAD)))
def test_what_does_not_fit_its_type_is_a_dead_letter(
    kind: FieldType, scale: int, text: str, reason: str, said: str
) -> None:
    """With the column, the type, and what to do where that is known; a guess could be wrong without a word."""
    with pytest.raises(BadRow, match=re.escape(said)) as raised:
        read(kind, text, scale)
    assert reason == raised.value.reason
    assert len(raised.value.detail) < 700


@pytest.mark.parametrize("kind", ["text", "json", "date", "timestamp-micros", "decimal"])
@pytest.mark.parametrize("value", [UNAVAILABLE, [UNAVAILABLE], base64.b64encode(UNAVAILABLE.encode()).decode()])
def test_a_value_that_was_not_sent_is_known_in_a_field_of_any_type(kind: FieldType, value: object) -> None:
    """Its last known value stays."""
    assert read_field(Field("v", "v", kind), value, DEFAULT_PLACEHOLDER) == UNAVAILABLE
