"""Records as people who run CDC into Kafka have met them, and what is right: a count, a profile, a dead letter."""

import json
from collections.abc import Iterable
from dataclasses import replace

import orjson
import pytest

from joiner.core.checkpoint import Checkpoint
from joiner.core.plan import Table
from joiner.core.records import SourceRecord
from joiner.core.rows import RowChange, parse_row
from shared.errors import BadRow, StateError
from shared.unavailable import UNAVAILABLE, expand_placeholder
from tests.support.built_in import FOLLOWS, LIKES, PLAN, TABLES, TWEETS, USERS
from tests.support.cluster import DictStore, new_key_forms

TABLE_OF = {table.name: table for table in TABLES}


def play(records: Iterable[tuple[str, bytes, bytes | None]]) -> tuple[dict[str, dict[str, object] | None], list[str]]:
    """Return (user -> record that is served, reasons of dead letters) after records of source topics."""
    stores = {table.name: DictStore() for table in TABLES}
    users, reasons, served, key_forms = DictStore(), [], {}, new_key_forms()
    for offset, (topic, key, value) in enumerate(records):
        checkpoint = Checkpoint(PLAN)
        store = None if topic == "users" else stores[topic]
        try:
            checkpoint.take_row(TABLE_OF[topic], store, SourceRecord(key, value, 1, 1))
            key_forms.check(topic, key, f"{topic}@{offset}")
        except BadRow as bad:
            reasons.append(bad.reason)
            continue
        checkpoint.save()
        later = Checkpoint(PLAN)
        for _, pack in checkpoint.pack_changes(1):
            later.take_changes(users, offset, pack)
        for record in later.render_records():
            served[record.key.decode()] = None if record.value is None else orjson.loads(record.value)
        later.save()
    return served, reasons


def test_a_deletion_that_is_a_column_deletes() -> None:
    """Debezium's flattening with `rewrite` says so in __deleted, and no null value follows."""
    records = [
        ("users", b'{"user_id":1}', b'{"user_id": 1, "username": "ann", "__deleted": "false"}'),
        ("likes", b'{"like_id":1}', b'{"like_id": 1, "user_id": 1, "__deleted": "false"}'),
    ]
    served, _ = play(records)
    assert 1 == (served["1"] or {})["likeCount"]
    records += [("likes", b'{"like_id":1}', b'{"like_id": 1, "user_id": 1, "__deleted": "true"}')]
    served, _ = play(records)
    assert 0 == (served["1"] or {})["likeCount"]
    records += [("users", b'{"user_id":1}', b'{"user_id": 1, "username": "ann", "__deleted": "true"}')]
    assert ({"1": None}, []) == play(records)


@pytest.mark.parametrize(
    ("markers", "change"),
    [
        ({"__deleted": False}, RowChange("7", ("1",))),
        ({"__deleted": True}, RowChange("7", None)),
        ({"__op": "d"}, RowChange("7", None)),
        ({"__op": "d", "__deleted": "true", "__source_ts_ms": 5}, RowChange("7", None, 5)),
        ({"__op": "c"}, RowChange("7", ("1",))),
        ({"__op": "u", "__deleted": "false", "__source_ts_ms": 5}, RowChange("7", ("1",), 5)),
        ({"__op": "r", "__source_ts_us": 5_000}, RowChange("7", ("1",), 5, is_snapshot=True)),
        ({"__source_ts_ns": 5_000_000}, RowChange("7", ("1",), 5)),
        ({"__source_ts_ms": "5"}, RowChange("7", ("1",), 5)),
        ({"__source_ts_ms": "soon"}, RowChange("7", ("1",))),
        ({"__ts_ms": 5, "__table": "likes", "__lsn": 9}, RowChange("7", ("1",))),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_flattening_says_beside_the_columns_is_read(
    markers: dict[str, object], change: RowChange, wrapped: bool
) -> None:
    """The operation and the source's time; the connector's own time is no source time."""
    row: object = {"like_id": 7, "user_id": 1, **markers}
    value = json.dumps({"schema": None, "payload": row} if wrapped else row).encode()
    assert change == parse_row(LIKES, b"7", value)


def test_a_flattened_deletion_needs_no_owner() -> None:
    """Without REPLICA IDENTITY FULL all columns but the primary key are null."""
    assert RowChange("7", None) == parse_row(LIKES, b"7", b'{"like_id":7,"user_id":null,"__deleted":"true"}')
    assert RowChange("7", None) == parse_row(LIKES, b"7", b'{"like_id":7,"__deleted":"true"}')


def test_several_key_columns_are_one_identity() -> None:
    """Two rows stay two, and deleting one leaves the other."""
    rows = [
        ("users", b"2", b'{"user_id":2}'),
        ("likes", b'{"tenant_id":1,"like_id":5}', b'{"tenant_id":1,"like_id":5,"user_id":2}'),
        ("likes", b'{"tenant_id":2,"like_id":5}', b'{"tenant_id":2,"like_id":5,"user_id":2}'),
    ]
    served, _ = play(rows)
    assert 2 == (served["2"] or {})["likeCount"]
    served, reasons = play([*rows, ("likes", b'{"tenant_id":2,"like_id":5}', None)])
    assert (1, []) == ((served["2"] or {})["likeCount"], reasons)


def test_a_users_id_is_one_column() -> None:
    """Rows and deletions under more are dead letters."""
    key = b'{"tenant_id":2,"user_id":5}'
    assert ({}, ["bad-key", "bad-key"]) == play([("users", key, b'{"tenant_id":2,"user_id":5}'), ("users", key, None)])


def test_an_identity_of_several_columns_is_no_other_rows() -> None:
    """No text of one column is taken for it; the columns' order and spelling make no difference."""
    composite = parse_row(LIKES, b'{"like_id":5,"region":"eu"}', None).row_id
    assert composite == parse_row(LIKES, b' {"region":"eu","like_id":"5"}', None).row_id
    assert composite == parse_row(LIKES, b'{"schema":{},"payload":{"region":"eu","like_id":5}}', None).row_id
    as_text = json.dumps({"like_id": composite.removeprefix("\0")}).encode()
    assert composite != parse_row(LIKES, as_text, None).row_id
    with pytest.raises(BadRow, match="U\\+0000"):
        parse_row(LIKES, json.dumps({"like_id": composite}).encode(), None)


DECIMAL: dict[str, object] = {
    "type": "bytes",
    "name": "org.apache.kafka.connect.data.Decimal",
    "parameters": {"scale": "0"},
}


def with_schema(payload: dict[str, object], **types: dict[str, object]) -> bytes:
    """Return a row with the schema that a converter writes beside it."""
    fields = [{**types.get(name, {"type": "string", "optional": True}), "field": name} for name in payload]
    document = {"schema": {"type": "struct", "fields": fields}, "payload": payload}
    return json.dumps(document, separators=(",", ":")).encode()


@pytest.mark.parametrize(("text", "number"), [("ZA==", 100), ("AQ==", 1), ("/w==", -1), ("A+g=", 1000), ("QQ==", 65)])
def test_a_numeric_id_without_a_schema_is_named(text: str, number: int) -> None:
    """No id that is likely ends like base64 of one or two bytes."""
    with pytest.raises(BadRow, match=f"as Debezium writes the number {number}: set decimal.handling.mode=string"):
        parse_row(USERS, json.dumps({"user_id": text}).encode(), None)
    with pytest.raises(BadRow, match=f"as Debezium writes the number {number}"):
        parse_row(USERS, json.dumps(text).encode(), None)
    typed = json.dumps({"schema": {"type": "string", "optional": False}, "payload": text}).encode()
    assert text == parse_row(USERS, typed, None).row_id


@pytest.mark.parametrize(
    "text", ["VXNlcjoxMA==", "a=", "==", "AB==", "ZA==ZA==", "AAAAAAAAAAAAAA==", "AAE=", "AJxA", "ü==="]
)
def test_an_id_may_end_in_an_equals_sign(text: str) -> None:
    """Where it is no base64, or that of a word or more bytes than a number's, or where the key is plain text."""
    assert text == parse_row(USERS, json.dumps({"user_id": text}).encode(), None).row_id
    assert text == parse_row(USERS, text.encode(), None).row_id


def test_numeric_ids_are_numbers_where_a_schema_says_so() -> None:
    """ZA== is 100, in keys, flat rows and envelopes; the user is found under 100 and nowhere else."""
    envelope = {
        "schema": {
            "type": "struct",
            "fields": [{"field": "after", "type": "struct", "fields": [{**DECIMAL, "field": "user_id"}]}],
        },
        "payload": {"op": "c", "after": {"user_id": "ZA==", "name": "hundred"}},
    }
    key = with_schema({"user_id": "ZA=="}, user_id=DECIMAL)
    flat = with_schema({"like_id": "AQ==", "user_id": "ZA=="}, user_id=DECIMAL, like_id=DECIMAL)
    records = [
        ("users", key, json.dumps(envelope).encode()),
        ("likes", with_schema({"like_id": "AQ=="}, like_id=DECIMAL), flat),
        ("likes", with_schema({"like_id": "Ag=="}, like_id=DECIMAL), b'{"like_id": 2, "user_id": 100}'),
    ]
    served, reasons = play(records)
    assert (["100"], []) == (list(served), reasons)
    assert ("hundred", 2) == ((served["100"] or {})["name"], (served["100"] or {})["likeCount"])


@pytest.mark.parametrize(
    ("before", "after"),
    [("like_id int32", "like_id int64"), ("like_id int32", "like_id string"), ("like_id int32", "an id (plain text)")],
)
def test_a_key_whose_bytes_change_is_refused_with_both_forms(before: str, after: str) -> None:
    """The row would lie in two partitions, and count once in each; its deletion would take back one."""
    keys = {
        f"like_id {kind}": with_schema({"like_id": 1}, like_id={"type": kind}) for kind in ("int32", "int64", "string")
    }
    keys["an id (plain text)"] = b"1"
    records = [
        ("users", b"2", b'{"user_id": 2}'),
        ("likes", keys[before], b'{"op": "c", "after": {"like_id": 1, "user_id": 2}}'),
    ]
    assert [] == play(records)[1]
    for value in (b'{"op": "u", "after": {"like_id": 1, "user_id": 2, "note": "x"}}', None):
        with pytest.raises(StateError) as refused:
            play([*records, ("likes", keys[after], value)])
        said = f"likes has keys of two forms, {before}"
        assert refused.value.what.startswith(said)
        assert f" and {after} (at likes@2); " in refused.value.what
        assert "python -m joiner reset" in refused.value.hint


def test_half_an_emoji_or_nan_in_a_column_that_is_not_read_spoils_nothing() -> None:
    """The row counts all the same."""
    tweets = [
        b'{"tweet_id":10,"user_id":1,"text":"so good \\ud83d"}',
        b'{"tweet_id":10,"user_id":1,"score":NaN}',
        b'{"tweet_id":10,"user_id":1,"score":-Infinity,"inner":{"a":["\\ud83d"]}}',
        b'{"tweet_id":10,"user_id":1,"text":"caf\xe9"}',
        b'{"op":"c","before":null,"after":{"tweet_id":10,"user_id":1,"text":"\\udfff"}}',
    ]
    for tweet in tweets:
        assert RowChange("10", ("1",)) == parse_row(TWEETS, b"10", tweet)
    for column in (b'"\\ud83d"', b"NaN", b'"caf\xe9"'):
        with pytest.raises(BadRow):
            parse_row(TWEETS, b"10", b'{"tweet_id":10,"user_id":%s}' % column)


@pytest.mark.parametrize(
    "value", [b'{"schema":null,"payload":null}', b'{"payload": null, "schema": {"type": "struct"}}']
)
def test_a_wrapped_null_deletes(value: bytes) -> None:
    """Older converters write a null value so."""
    key = b'{"schema":{},"payload":{"like_id":1}}'
    row = b'{"schema": {}, "payload": {"like_id": 1, "user_id": 1}}'
    served, reasons = play([("users", b"1", b'{"user_id":1}'), ("likes", key, row), ("likes", key, value)])
    assert (0, []) == ((served["1"] or {})["likeCount"], reasons)


FORMS = [
    "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==",
    "5f5f646562657a69756d5f756e617661696c61626c655f76616c7565",
    f'{{"{UNAVAILABLE}":"{UNAVAILABLE}"}}',
    [UNAVAILABLE],
    list(UNAVAILABLE.encode()),
    {UNAVAILABLE: UNAVAILABLE},
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("neighbour", ["x", 0.5])
def test_what_stands_for_a_value_not_sent_is_known_in_each_form(form: object, neighbour: object) -> None:
    """Text, bytes, arrays and maps: the last known value stays."""
    row = json.dumps({"user_id": 1, "name": neighbour, "description": form}).encode()
    assert UNAVAILABLE == (parse_row(USERS, b"1", row).values or ())[2]
    served, _ = play([("users", b"1", b'{"user_id":1,"description":"long"}'), ("users", b"1", row)])
    assert "long" == (served["1"] or {})["description"]


@pytest.mark.parametrize("option", ["__toasted", "hex:5f5f746f6173746564"])
def test_a_placeholder_of_ones_own_is_known_beside_debeziums(option: str) -> None:
    """UNAVAILABLE_VALUE names it as the connector does."""
    users, likes = (replace(table, placeholder=expand_placeholder(option)) for table in (USERS, LIKES))
    for text in ("__toasted", "X190b2FzdGVk", UNAVAILABLE):
        row = json.dumps({"user_id": 1, "description": text}).encode()
        assert UNAVAILABLE == (parse_row(users, b"1", row).values or ())[2]
    assert (UNAVAILABLE,) == parse_row(likes, b"1", b'{"like_id":1,"user_id":"__toasted"}').values
    assert "__toasted" == (parse_row(USERS, b"1", b'{"user_id":1,"description":"__toasted"}').values or ())[2]


@pytest.mark.parametrize("table", [TWEETS, FOLLOWS, LIKES, USERS])
@pytest.mark.parametrize("key", [b'{"id":7}', b"[7]", b"Struct{like_id=7}", b"\0\0\0\0\1\x0e"])
def test_a_deletion_under_a_key_that_no_id_can_be_read_from_is_a_dead_letter(table: Table, key: bytes) -> None:
    """It would delete nothing, and nobody would know."""
    with pytest.raises(BadRow, match="bad-key"):
        parse_row(table, key, None)
