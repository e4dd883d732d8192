"""Values that Connect and Debezium encode, and what their schemas make of them."""

import json

import pytest

from joiner.core.connect_schema import MAX_SCHEMAS, Opener
from joiner.core.rows import parse_row
from joiner.core.values import load_json
from shared.errors import BadRow
from tests.support.built_in import LIKES, USERS

KAFKA, TIME, DATA = "org.apache.kafka.connect.data.", "io.debezium.time.", "io.debezium.data."


def user(value: object, **schema: object) -> bytes:
    """Return a user whose joined_date has a schema."""
    fields = [{"field": "user_id", "type": "int64"}, {"field": "joined_date", **schema}]
    document = {"schema": {"type": "struct", "fields": fields}, "payload": {"user_id": 1, "joined_date": value}}
    return json.dumps(document, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (KAFKA + "Date", 14_258, "2009-01-14"),
        (TIME + "Date", -1, "1969-12-31"),
        (KAFKA + "Time", 7_476_005, "02:04:36.005"),
        (TIME + "Time", 0, "00:00:00.000"),
        (TIME + "MicroTime", 86_399_999_999, "23:59:59.999999"),
        (TIME + "NanoTime", 1, "00:00:00.000000001"),
        (KAFKA + "Timestamp", 1_231_898_676_005, "2009-01-14T02:04:36.005Z"),
        (TIME + "Timestamp", -1, "1969-12-31T23:59:59.999Z"),
        (TIME + "MicroTimestamp", 1_231_898_676_000_000, "2009-01-14T02:04:36.000000Z"),
        (TIME + "NanoTimestamp", 1_231_898_676_000_000_001, "2009-01-14T02:04:36.000000001Z"),
        (TIME + "ZonedTimestamp", "2009-01-14T02:04:36Z", "2009-01-14T02:04:36Z"),
        (TIME + "ZonedTime", "02:04:36Z", "02:04:36Z"),
        (DATA + "Uuid", "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
        (DATA + "Json", '{"a": 1}', '{"a": 1}'),
        (DATA + "Enum", "x", "x"),
        (DATA + "VariableScaleDecimal", {"scale": 2, "value": "ZA=="}, "1.00"),
        (DATA + "VariableScaleDecimal", {"scale": -2, "value": "ZA=="}, "10000"),
        (TIME + "Date", None, None),
    ],
)
def test_encoded_fields_become_text(name: str, value: object, text: str | None) -> None:
    """Days and times as ISO 8601 with as many decimals as their unit has, decimals in full, all else as it is."""
    assert text == (parse_row(USERS, b"1", user(value, type="int64", name=name)).values or ())[5]


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        ("ZA==", "0", "100"),
        ("nA==", "0", "-100"),
        ("ZA==", "1", "10.0"),
        ("ZA==", "4", "0.0100"),
        ("nA==", "3", "-0.100"),
        ("AA==", "0", "0"),
        (1.50, "2", "1.5"),
        (7, "2", "7"),
    ],
)
def test_decimals_are_plain_text(value: object, scale: str, text: str) -> None:
    """Base64 as converters write by default, or numbers where decimal.format=NUMERIC."""
    row = user(value, type="bytes", name=KAFKA + "Decimal", parameters={"scale": scale})
    assert text == (parse_row(USERS, b"1", row).values or ())[5]


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("!", {"type": "bytes", "name": KAFKA + "Decimal", "parameters": {"scale": "0"}}),
        ("ZA==", {"type": "bytes", "name": KAFKA + "Decimal"}),
        ("ZA==", {"type": "bytes", "name": KAFKA + "Decimal", "parameters": {"scale": "999999999"}}),
        ({"scale": 999_999_999, "value": "ZA=="}, {"name": DATA + "VariableScaleDecimal"}),
        ({}, {"name": DATA + "VariableScaleDecimal"}),
        (9_223_371_331_200_000_000, {"name": TIME + "MicroTimestamp"}),
        ([1], {"name": TIME + "Date"}),
    ],
)
def test_what_does_not_fit_its_schema_is_a_dead_letter(value: object, schema: dict[str, object]) -> None:
    """PostgreSQL's infinity is no time; nothing is guessed."""
    with pytest.raises(BadRow, match="bad-value: the column joined_date does not fit its schema"):
        parse_row(USERS, b"1", user(value, **schema))


@pytest.mark.parametrize(
    ("value", "row_id"), [("AyA=", "8"), (8.00, "8"), ("AyE=", None), ("Ag==", None), (8.01, None)]
)
def test_a_decimal_with_only_zeros_behind_the_point_is_an_id(value: object, row_id: str | None) -> None:
    """8.00 is 8; a fraction is no id."""
    field = {"field": "like_id", "type": "bytes", "name": KAFKA + "Decimal", "parameters": {"scale": "2"}}
    key = json.dumps({"schema": {"type": "struct", "fields": [field]}, "payload": {"like_id": value}}).encode()
    alone = json.dumps({"schema": {**field, "field": None}, "payload": value}).encode()
    for each in (key, alone):
        if row_id is None:
            with pytest.raises(BadRow, match="bad-id"):
                parse_row(LIKES, each, None)
        else:
            assert row_id == parse_row(LIKES, each, None).row_id


def test_bytes_are_no_id() -> None:
    """Their base64 is text of the encoding, not of the id."""
    key = b'{"schema":{"type":"bytes"},"payload":"ZA=="}'
    with pytest.raises(BadRow, match="bad-id: the key is neither text nor an integer, but bytes"):
        parse_row(LIKES, key, None)
    fields = [{"field": "like_id", "type": "bytes"}, {"field": "user_id", "type": "int64"}]
    row = {"schema": {"type": "struct", "fields": fields}, "payload": {"like_id": "ZA==", "user_id": 1}}
    with pytest.raises(BadRow, match="bad-id: like_id is neither text nor an integer, but bytes"):
        parse_row(LIKES, b"ZA==", json.dumps(row).encode())


def test_a_schema_is_parsed_once_and_a_changed_one_again() -> None:
    """What is remembered changes no document, wherever the wrapper ends."""
    opener = Opener()
    first, second = b'{"schema":{"a":",\\"payload\\":"},"payload":', b'{"schema":{"type":"bytes"},"payload":'
    documents = [
        (first + b"1}", 1),
        (first + b'{"x":[2]}}', {"x": [2]}),
        (second + b'"3"}', "3"),
        (second + b"4} ", 4),
        (second + b'5,"payload":6}', 6),
        (first + b"null}", None),
    ]
    for text, payload in documents * 2:
        document, schema = opener.open("topic", text, load_json)
        assert payload == document
        assert schema is not None
        assert (schema.payload is not None) == text.startswith(second)
    assert ({"schema": 1}, None) == opener.open("topic", b'{"schema":1}', load_json)
    for broken in (second + b"1", second + b"1}}", second):
        with pytest.raises(ValueError, match="column"):
            opener.open("topic", broken, load_json)


def test_schemas_that_alternate_are_each_parsed_once() -> None:
    """As many as are remembered; one more takes the place of the oldest."""
    opener, parsed = Opener(), list[bytes]()

    def loads(text: bytes) -> object:
        parsed.append(text)
        return load_json(text)

    documents = [b'{"schema":{"version":%d},"payload":5}' % version for version in range(MAX_SCHEMAS + 1)]
    for text in documents[:-1] * 2 + documents[-1:] * 2 + documents[:1]:
        document, schema = opener.open("topic", text, loads)
        assert (5, True) == (document, schema is not None)
    assert [*documents, documents[0]] == [text for text in parsed if text != b"5"]
