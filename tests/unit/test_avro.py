"""Avro in Confluent's wire format: what is read of it, and what is refused by name."""

import json
import struct

import pytest

from joiner.core.avro import AvroDecoder
from joiner.core.avro_schema import compile_avro, spell_double, spell_float
from joiner.core.beats import Beat, is_streamed, read_beat
from joiner.core.compatibility import LedgerNotes
from joiner.core.key_forms import KeyForms, read_form
from joiner.core.rows import RowChange, parse_row, read_document
from shared.errors import BadRow, StateError
from tests.support.avro import BOOK, DECODER, SchemaBook, write_avro
from tests.support.built_in import LIKES, USERS

LONG_KEY = {"type": "record", "name": "Key", "fields": [{"name": "like_id", "type": "long"}]}
INT_KEY = {"type": "record", "name": "Key", "fields": [{"name": "like_id", "type": "int"}]}
SEVEN = BOOK.write(LONG_KEY, {"like_id": 7})


@pytest.mark.parametrize(
    ("schema", "value", "row_id"),
    [
        (LONG_KEY, {"like_id": 7}, "7"),
        ("long", 7, "7"),
        ("string", "seven", "seven"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, b"\2\xbc", "7.00"[:1]),
        (["null", "long"], 7, "7"),
    ],
)
def test_a_key_is_a_row_s_or_the_id_alone(schema: object, value: object, row_id: str) -> None:
    """As a connector writes it, or taken out of its struct."""
    assert RowChange(row_id, None) == parse_row(LIKES, BOOK.write(schema, value), None, DECODER)


def test_several_key_columns_are_the_same_row_as_in_json() -> None:
    """Whatever the encoding, a row is all columns of its key."""
    in_avro = parse_row(LIKES, write_avro({"like_id": 7, "region": "eu"}), None, DECODER)
    assert parse_row(LIKES, b'{"region":"eu","like_id":7}', None) == in_avro


def test_text_keys_and_avro_values_go_together() -> None:
    """Connect has a converter for each of the two."""
    row = {"like_id": 7, "user_id": 1}
    assert RowChange("7", ("1",)) == parse_row(LIKES, b"7", write_avro(row), DECODER)
    assert RowChange("7", ("1",)) == parse_row(LIKES, SEVEN, json.dumps(row).encode(), DECODER)


def test_rows_of_evolved_schemas_are_read_each_by_its_own() -> None:
    """A column is added, another dropped, a third widened: what is there is read, and an id stays the same."""
    number = {"name": "like_id", "type": "long"}

    def write(*fields: dict[str, object], **row: object) -> RowChange:
        schema = {"type": "record", "name": "Row", "fields": [number, *fields]}
        return parse_row(LIKES, SEVEN, BOOK.write(schema, {"like_id": 7, **row}), DECODER)

    before = write({"name": "user_id", "type": "int"}, user_id=1)
    added = write({"name": "user_id", "type": "int"}, {"name": "mood", "type": ["null", "string"]}, user_id=1, mood="x")
    widened = write({"name": "user_id", "type": "long"}, user_id=1)
    assert RowChange("7", ("1",)) == before == added == widened
    with pytest.raises(BadRow, match="missing-column: the row has no column user_id"):
        write({"name": "mood", "type": ["null", "string"]}, mood="x")


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (b"\0", "bad-avro", "too short to name a schema"),
        (b"\0\0\0\0", "bad-avro", "too short to name a schema"),
        (write_avro({"like_id": 7, "user_id": 1})[:-1], "bad-avro", "it is not what its schema"),
        (write_avro({"like_id": 7, "user_id": 1}) + b"\0", "bad-avro", "it is longer than its schema"),
        (b"\0\x7f\0\0\0\0", "unknown-schema", "there is no schema 2130706432"),
        (write_avro("text"), "bad-shape", "neither a row nor an envelope"),
        (write_avro({"op": "c", "after": {"like_id": 8, "user_id": 1}}), "key-mismatch", "the row's like_id"),
    ],
)
def test_what_is_no_row_is_refused_by_name(value: bytes, reason: str, detail: str) -> None:
    """A dead letter says what is wrong with it."""
    with pytest.raises(BadRow, match=detail) as refused:
        parse_row(LIKES, b"7", value, DECODER)
    assert reason == refused.value.reason


def test_without_a_registry_the_missing_setting_is_named() -> None:
    """In key or value; what is lost is a setting, not a row."""
    with pytest.raises(BadRow, match="SCHEMA_REGISTRY_URL") as refused:
        parse_row(LIKES, b"7", write_avro({"like_id": 7, "user_id": 1}))
    assert "no-schema-registry" == refused.value.reason
    with pytest.raises(BadRow, match=r"bad-key: .*SCHEMA_REGISTRY_URL"):
        parse_row(LIKES, SEVEN, None)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"type":"record"}',
        '"no such type"',
        "[]x",
        '{"type":"array","items":"null"}',
        '{"type":"record","name":"R","fields":[{"name":"a","type":"Nowhere"}]}',
    ],
)
def test_a_schema_that_is_none_is_asked_for_once(text: str) -> None:
    """An id has one schema for ever, so no later answer differs; its rows are dead letters."""
    asked: list[int] = []

    class Source:
        def find_schema(self, schema_id: int) -> str:
            asked.append(schema_id)
            return text

    decoder = AvroDecoder(Source())
    for _ in range(2):
        with pytest.raises(BadRow, match="bad-schema"):
            decoder.open(b"\0\0\0\0\1\0")
    assert [1] == asked


def test_a_schema_that_was_not_known_may_be_known_later() -> None:
    """Only the registry's client says how soon it is asked again."""
    book = SchemaBook()
    decoder = AvroDecoder(book)
    with pytest.raises(BadRow, match="unknown-schema"):
        decoder.open(b"\0\0\0\0\1\x0e")
    assert b"\0\0\0\0\1\x0e" == book.write("long", 7)
    assert 7 == decoder.open(b"\0\0\0\0\1\x0e")[0]


def test_a_schema_may_contain_itself() -> None:
    """Whatever is in it is spelled at each depth."""
    tree = {
        "type": "record",
        "name": "Tree",
        "fields": [{"name": "leaf", "type": "bytes"}, {"name": "next", "type": ["null", "Tree"]}],
    }
    value = {"leaf": b"a", "next": {"leaf": b"b", "next": None}}
    assert {"leaf": "YQ==", "next": {"leaf": "Yg==", "next": None}} == DECODER.open(BOOK.write(tree, value))[0]
    assert "struct" == compile_avro(json.dumps(tree)).connect["type"]


def test_values_of_a_union_are_spelled_by_what_they_are() -> None:
    """Nothing that JSON cannot hold comes of it, at any depth."""
    inner = {"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "bytes"}]}
    union = ["null", "long", "bytes", "double", {"type": "array", "items": ["null", "bytes"]}, inner]
    found = [DECODER.open(BOOK.write(union, value))[0] for value in (None, 7, b"a", 0.5, [b"a", None], {"x": b"a"})]
    assert [None, 7, "YQ==", "0.5", ["YQ==", None], {"x": "YQ=="}] == found


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (100.0, "100.0"),
        (0.001, "0.001"),
        (0.00099, "9.9E-4"),
        (9_999_999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (-1.25e-7, "-1.25E-7"),
        (123_456.789, "123456.789"),
        (1e23, "1.0E23"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
    ],
)
def test_a_double_is_the_text_that_java_writes(number: float, text: str) -> None:
    """What JsonConverter writes of the same number: java.lang.Double.toString."""
    assert text == spell_double(number)


@pytest.mark.parametrize(("number", "text"), [(0.1, "0.1"), (16_777_216.0, "1.6777216E7"), (3.4e38, "3.4E38")])
def test_a_float_is_the_shortest_text_of_its_32_bits(number: float, text: str) -> None:
    """0.1 and not 0.10000000149011612."""
    (single,) = struct.unpack("f", struct.pack("f", number))
    assert text == spell_float(single)
    assert "NaN" == spell_float(float("nan"))


def test_a_key_of_another_schema_ends_the_joiner_by_name() -> None:
    """Its bytes differ though the row is the same, so Kafka puts it elsewhere: both would count."""
    forms = KeyForms(["likes"], LedgerNotes(forms_are_whole=True), lambda _, form: [form], DECODER)
    other = BOOK.write(INT_KEY, {"like_id": 7})
    assert parse_row(LIKES, SEVEN, None, DECODER) == parse_row(LIKES, other, None, DECODER)
    for _ in range(2):
        forms.check("likes", SEVEN, "likes[0]@1")
        assert forms.matches["likes"](SEVEN)
    with pytest.raises(StateError, match=r"like_id int64 \(Avro, schema \d+\) and like_id int32 \(Avro, schema \d+\)"):
        forms.check("likes", other, "likes[0]@2")
    assert not forms.matches["likes"](other)


@pytest.mark.parametrize("other", [b"7", b'"7"', b'{"like_id":7}'])
def test_avro_beside_another_encoding_is_another_form(other: bytes) -> None:
    """Whichever comes first, the second one is not taken for the first."""
    for first, second in ((SEVEN, other), (other, SEVEN)):
        forms = KeyForms(["likes"], LedgerNotes(forms_are_whole=True), lambda _, form: [form], DECODER)
        forms.check("likes", first, "here")
        assert not forms.matches["likes"](second)
        with pytest.raises(StateError, match="likes has keys of two forms"):
            forms.check("likes", second, "here")


def test_a_form_of_avro_is_known_again_from_the_ledger() -> None:
    """A joiner that starts needs no registry to tell the keys of its topics from others."""
    form = read_form(SEVEN, DECODER)
    later = KeyForms(["likes"], LedgerNotes(key_forms={"likes": [form]}), lambda _, form: [form], DECODER)
    assert later.matches["likes"](BOOK.write(LONG_KEY, {"like_id": 123_456}))
    assert not later.matches["likes"](b"\0" + (99).to_bytes(4, "big") + b"\x0e")
    assert '{"avro":7,"columns":"int64"}' != read_form(b'{"avro":7,"columns":"int64"}')


def test_a_key_that_could_be_written_in_two_ways_is_refused() -> None:
    """7 as an int and 7 as a long are one row, and two keys in bytes under one schema."""
    field = {"name": "like_id", "type": ["int", "string"]}
    key = BOOK.write({"type": "record", "name": "Key", "fields": [field]}, {"like_id": 7})
    with pytest.raises(BadRow, match=r"bad-key: its schema .* has a union of several types"):
        parse_row(LIKES, key, None, DECODER)


def test_heartbeats_and_newest_rows_are_read_in_avro() -> None:
    """The rest of the joiner reads the same records."""
    beat = write_avro({"op": "u", "after": {"heartbeat_id": 1}, "source": {"ts_ms": 1_700_000_000_000}})
    assert Beat(1_700_000_000_000) == read_beat(beat, 1_700_000_000_001, accepts_own=False, avro=DECODER)
    assert is_streamed(beat, DECODER)
    assert {"user_id": 1} == read_document(write_avro({"user_id": 1}), DECODER)
    assert {} == read_document(beat[:-1], DECODER)
    assert {} == read_document(beat)


def test_a_description_that_was_not_sent_is_known_as_such() -> None:
    """Debezium writes the placeholder as text, also into columns of bytes."""
    row = {"type": "record", "name": "Row", "fields": [{"name": "user_id", "type": "long"}]}
    row["fields"] = [*row["fields"], {"name": "description", "type": "bytes"}]
    value = BOOK.write(row, {"user_id": 1, "description": b"__debezium_unavailable_value"})
    values = parse_row(USERS, b"1", value, DECODER).values
    assert values is not None
    assert "__debezium_unavailable_value" == values[2]
