"""Bytes of a source record -> one row's change, or the reason why there is none."""

import json
import re

import pytest

from joiner.core.columns import ENVELOPE_BYTES, fits
from joiner.core.plan import Table
from joiner.core.rows import RowChange, parse_row
from shared.errors import BadRow
from shared.topics import MAX_RECORD_BYTES
from shared.unavailable import UNAVAILABLE
from tests.support.built_in import FOLLOWS, LIKES, TWEETS, USERS

LIKE = RowChange("700", ("1",))
NOTHING = [None] * 8


@pytest.mark.parametrize(
    "key",
    [
        b"700",
        b'"700"',
        b' "700"',
        b'{"like_id": 700}',
        b'{"like_id": "700"}',
        b'{"schema": {"type": "struct", "optional": false}, "payload": {"like_id": 700}}',
        b'{"schema": {"type": "int64", "optional": false}, "payload": 700}',
        b'{"schema":{"type":"string"},"payload":"700"}',
        b'{"payload": 700, "schema": null}',
    ],
)
def test_a_key_is_read_as_text_as_a_json_string_or_out_of_an_object(key: bytes) -> None:
    """In whichever form a connector writes a primary key, it names the same row."""
    assert LIKE == parse_row(LIKES, key, b'{"like_id": 700, "user_id": 1}')
    assert RowChange("700", None) == parse_row(LIKES, key, None)


@pytest.mark.parametrize(
    ("key", "row_id"),
    [
        (b"{not json", "{not json"),
        (b'"half', '"half'),
        (b"{6F9619FF-8B86-D011-B42D-00CF4FC964FF}", "{6F9619FF-8B86-D011-B42D-00CF4FC964FF}"),
        (b"[x", "[x"),
        (b"Stone", "Stone"),
        (b"007", "007"),
        (b" 7 ", " 7 "),
        ("zoë/🦉".encode(), "zoë/🦉"),
    ],
)
def test_any_other_key_is_its_own_text(key: bytes, row_id: str) -> None:
    """No guess is made at what a key may have meant."""
    assert RowChange(row_id, None) == parse_row(LIKES, key, None)


@pytest.mark.parametrize(
    ("value", "source_ms"),
    [
        ({"like_id": 700, "user_id": 1, "tweet_id": 70}, None),
        ({"like_id": "700", "user_id": "1"}, None),
        ({"like_id": 700, "user_id": 1, "__source_ts_ms": 5, "__ts_ms": 9}, 5),
        ({"like_id": 700, "user_id": 1, "__source_ts_ms": "5"}, 5),
        ({"like_id": 700, "user_id": 1, "__source_ts_ms": None, "__ts_ms": 9}, None),
        ({"like_id": 700, "user_id": 1, "op": "q", "before": 5, "payload": None}, None),
        ({"before": None, "after": {"like_id": 700, "user_id": 1}, "op": "c", "source": {"ts_ms": 5}}, 5),
        ({"before": None, "after": {"like_id": 700, "user_id": 1}, "op": "r", "source": {"ts_ms": 0}}, None),
        ({"after": {"like_id": 700, "user_id": "1"}, "op": "u", "source": None}, None),
        ({"after": {"like_id": 700, "user_id": "1"}, "op": "u", "source": {"ts_ms": True}}, None),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_row_is_read_flat_or_out_of_an_envelope_wrapped_or_not(
    value: dict[str, object], source_ms: int | None, wrapped: bool
) -> None:
    """Each encoding is recognized by its content, and says when the source made the change, or does not."""
    document = {"schema": {"type": "struct"}, "payload": value} if wrapped else value
    expected = LIKE._replace(source_ms=source_ms, is_snapshot=value.get("op") == "r")
    assert expected == parse_row(LIKES, b"700", json.dumps(document).encode())


@pytest.mark.parametrize(
    ("value", "source_ms"),
    [
        (None, None),
        (b'{"before": {"like_id": 700, "user_id": 1}, "after": null, "op": "d", "source": {"ts_ms": 5}}', 5),
        (b'{"before": {"like_id": 700}, "op": "d"}', None),
        (b'{"before": {}, "op": "d"}', None),
        (b'{"before": null, "op": "d"}', None),
        (b'{"op": "d"}', None),
        (b'{"schema": null, "payload": {"before": {"like_id": "700"}, "op": "d"}}', None),
    ],
)
def test_a_deletion_is_a_null_value_or_an_envelope_that_says_so(value: bytes | None, source_ms: int | None) -> None:
    """Debezium's two messages about one deletion say the same, however much of the old row the first one carries."""
    assert RowChange("700", None, source_ms) == parse_row(LIKES, b"700", value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b'{"before": {"like_id": 0, "user_id": null, "tweet_id": null}, "op": "d"}',
        b'{"before": {"like_id": 0}, "op": "d"}',
        b'{"like_id": 0, "user_id": 1, "__deleted": "true"}',
    ],
)
def test_a_row_whose_id_is_0_can_be_deleted(value: bytes | None) -> None:
    """Debezium says 0 for a key that it was not sent, too; but then it was sent something else."""
    assert RowChange("0", None) == parse_row(LIKES, b'{"like_id":0}', value)


def test_owners_stand_in_the_tables_order_and_may_be_null() -> None:
    """A follow has two owners, a tweet one; null is no owner."""
    follow = b'{"followee_id": "b", "follow_id": 1, "follower_id": "a"}'
    assert ("a", "b") == parse_row(FOLLOWS, b"1", follow).values
    assert (None, "b") == parse_row(FOLLOWS, b"1", b'{"follow_id": 1, "follower_id": null, "followee_id": "b"}').values
    assert (None,) == parse_row(TWEETS, b"1", b'{"tweet_id": 1, "user_id": null, "text": [1]}').values


def test_profile_fields_stand_in_the_records_order() -> None:
    """Columns may come in any order, absent ones are null, unknown ones are ignored."""
    row = {
        "background_image_url": "h",
        "profile_image_url": "g",
        "joined_date": "f",
        "web_page_url": "e",
        "location": "d",
        "description": "c",
        "name": "b",
        "username": "a",
        "user_id": 1,
        "password": {"hash": "x"},
    }
    assert tuple("abcdefgh") == parse_row(USERS, b"1", json.dumps(row).encode()).values
    assert (None, "b", *NOTHING[2:]) == parse_row(USERS, b"1", b'{"user_id": 1, "name": "b"}').values


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("12", "12"),
        ("-7", "-7"),
        ("-0", "0"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("1.50", "1.50"),
        ("1e3", "1e3"),
        ("1e999", "1e999"),
        ("true", "true"),
        ("false", "false"),
        ('"null"', "null"),
        ('""', ""),
    ],
)
@pytest.mark.parametrize("neighbour", ["null", "0.5"])
def test_a_number_or_a_boolean_in_a_profile_becomes_its_json_text(text: str, stored: str, neighbour: str) -> None:
    """No digit is lost, and neighbouring fields do not change how a field is read."""
    row = f'{{"user_id": 1, "username": {text}, "name": {neighbour}}}'.encode()
    values = parse_row(USERS, b"1", row).values
    assert values is not None
    assert stored == values[0]


def test_an_unavailable_value_is_passed_on_as_such() -> None:
    """Stage 2 puts the last known value in its place; here none is known."""
    values = parse_row(USERS, b"1", json.dumps({"user_id": 1, "description": UNAVAILABLE}).encode()).values
    assert (None, None, UNAVAILABLE, *NOTHING[3:]) == values


BAD = [
    ("null-key", USERS, None, b'{"user_id": 1}', "the record has no key"),
    ("null-key", USERS, None, None, "the record has no key"),
    ("bad-key", USERS, b"\xff\xfe", b'{"user_id": 1}', "the key is not UTF-8"),
    ("bad-key", USERS, b'{"user_id":\xff}', None, "the key begins like a JSON object, and is not JSON"),
    ("bad-key", LIKES, b'{"id": 7}', None, "the key has id, and not like_id, which names the row"),
    ("bad-key", LIKES, b'{"user_id": 7, "tweet_id": 1}', None, "the key has tweet_id, user_id, and not like_id"),
    ("bad-key", LIKES, b"{}", None, "the key has no columns"),
    ("bad-key", LIKES, b'{"like_id": 7', None, "the key begins like a JSON object, and is not JSON"),
    ("bad-key", LIKES, b"[7]", None, "the key is JSON, but holds no like_id"),
    ("bad-key", LIKES, b'{"schema":{},"payload":[7]}', None, "the key is JSON, but holds no like_id"),
    ("null-key", LIKES, b'{"schema":null,"payload":null}', None, "the key's payload is null"),
    ("bad-id", LIKES, b'{"schema":{},"payload":7.5}', None, "the key is neither text nor an integer"),
    ("bad-key", LIKES, b'"\\ud800"', None, "such as half an emoji"),
    ("bad-id", LIKES, b'{"like_id": "\\ud800"}', None, "such as half an emoji"),
    ("bad-key", LIKES, b'"{\\"like_id\\":7}"', None, "the key is a JSON object inside a JSON string"),
    ("bad-key", LIKES, b"Struct{like_id=7}", None, "the key is a Connect struct printed by StringConverter"),
    ("bad-key", LIKES, b"\0\0\0\0\0\0\0\7", None, "the key begins with a zero byte"),
    ("bad-key", LIKES, b"\0\0\0\0\1\x0e", None, "the key begins with a zero byte"),
    ("bad-key", LIKES, b'{"like_id":"\\u0000[]"}', None, "the key begins with the character U+0000"),
    ("bad-key", LIKES, b'{"like_id":1,"region":null}', None, "the key's column region is null; if message.key"),
    ("bad-key", LIKES, b'{"like_id":1,"region":{}}', None, "the column region holds an object or an array"),
    ("bad-key", USERS, b'{"tenant_id":1,"user_id":5}', None, "a user's id is one column, user_id"),
    (
        "key-mismatch",
        LIKES,
        b'{"like_id":1,"region":"eu"}',
        b'{"like_id":1,"region":"us","user_id":1}',
        "region is 'eu'",
    ),
    (
        "key-mismatch",
        LIKES,
        b'{"like_id":1,"region":"eu"}',
        b'{"like_id":2,"region":"eu","user_id":1}',
        "says otherwise",
    ),
    ("bad-id", USERS, b"", b'{"user_id": ""}', "the key is not 1 to 511 bytes long"),
    ("bad-id", USERS, b'""', None, "the key is not 1 to 511 bytes long"),
    ("bad-id", USERS, b"x" * 512, None, "the key is not 1 to 511 bytes long"),
    ("bad-id", USERS, "é".encode() * 256, None, "the key is not 1 to 511 bytes long"),
    ("bad-id", USERS, b'{"user_id": [1]}', None, "the key is neither text nor an integer"),
    ("bad-id", USERS, b'{"user_id": 1.5}', None, "the key is neither text nor an integer"),
    ("null-id", USERS, b'{"user_id": null}', None, "the key is null"),
    ("bad-id", USERS, b"1", b'{"user_id": true}', "user_id is neither text nor an integer"),
    ("bad-id", USERS, b"1", b'{"user_id": 1.0}', "user_id is neither text nor an integer"),
    ("bad-id", USERS, b"1", b'{"user_id": 1e3}', "user_id is neither text nor an integer"),
    ("bad-id", USERS, b"1", b'{"user_id": {"id": 1}}', "user_id is neither text nor an integer"),
    ("null-id", USERS, b"1", b'{"user_id": null}', "user_id is null"),
    ("null-id", USERS, b"1", b'{"op": "d", "before": {"user_id": null}}', "user_id is null"),
    (
        "null-id",
        LIKES,
        b'{"like_id":0}',
        b'{"op": "d", "before": {"like_id": 0, "user_id": null, "tag": "x"}}',
        "like_id is not in the table's REPLICA IDENTITY",
    ),
    ("null-id", USERS, b"0", b'{"op": "d", "before": {"user_id": 0, "username": "ann"}}', "set it to DEFAULT or FULL"),
    ("key-mismatch", USERS, b"2", b'{"user_id": 1}', "the key says '2', the row's user_id says otherwise"),
    ("key-mismatch", USERS, b"1", b'{"op": "d", "before": {"user_id": 2}}', "the row's user_id says otherwise"),
    ("key-mismatch", USERS, b"01", b'{"user_id": 1}', "the key says '01'"),
    ("bad-json", USERS, b"1", b"", "the value is not JSON"),
    ("bad-json", USERS, b"1", b" ", "the value is not JSON"),
    ("bad-json", USERS, b"1", b"{", "the value is not JSON"),
    ("bad-json", USERS, b"1", b'{"user_id": 1} {}', "the value is not JSON"),
    ("bad-json", USERS, b"1", b'{"user_id": 1, "name": "\xff"}', "the value is not JSON"),
    ("bad-json", USERS, b"1", b'{"user_id": 1, "name": "\\ud800"}', "the value is not JSON"),
    ("bad-json", USERS, b"1", b'{"user_id": 1, "name": NaN}', "the value is not JSON"),
    ("bad-json", USERS, b"1", b'\xef\xbb\xbf{"user_id": 1}', "the value is not JSON"),
    ("bad-json", USERS, b"1", b"[" * 100_000, "the value is not JSON"),
    ("bad-shape", USERS, b"1", b"null", "neither a row nor an envelope; only a null value deletes"),
    ("bad-shape", USERS, b"1", b"[1]", "neither a row nor an envelope"),
    ("bad-shape", USERS, b"1", b'"text"', "neither a row nor an envelope"),
    ("bad-shape", USERS, b"1", b'{"schema": null, "payload": [1]}', "neither a row nor an envelope"),
    ("bad-shape", USERS, b"1", b'{"op": "c", "after": null}', "it carries no row"),
    ("bad-shape", USERS, b"1", b'{"op": "u", "after": [1]}', "it carries no row"),
    ("bad-shape", USERS, b"1", b'{"op": "d", "before": 1}', "it carries no row"),
    ("unknown-op", USERS, b"1", b'{"op": "t", "after": {"user_id": 1}}', "the envelope's op is 't'; known are c, u"),
    ("unknown-op", USERS, b"1", b'{"op": null}', "the envelope's op is a NoneType"),
    ("unknown-op", USERS, b"1", b'{"op": ' + b"[" * 900 + b"]" * 900 + b"}", "the envelope's op is a list"),
    ("unknown-op", USERS, b"1", b'{"op": "' + b"x" * 900 + b'"}', "the envelope's op is 'xxx"),
    ("unknown-op", LIKES, b"1", b'{"like_id":1,"user_id":1,"__op":"t"}', "the row's __op is 't'"),
    ("unknown-op", LIKES, b"1", b'{"like_id":1,"user_id":1,"__op":null}', "the row's __op is a NoneType"),
    ("unknown-op", LIKES, b"1", b'{"like_id":1,"user_id":1,"__deleted":"yes"}', "the row's __deleted is 'yes'"),
    ("unknown-op", LIKES, b"1", b'{"like_id":1,"user_id":1,"__deleted":1}', "the row's __deleted is a int"),
    ("unknown-op", LIKES, b"1", b'{"like_id":1,"user_id":1,"__deleted":1.0}', "the row's __deleted is a float"),
    ("unknown-op", LIKES, b"1", b'{"like_id":1,"user_id":1,"__deleted":null}', "the row's __deleted is a NoneType"),
    ("unknown-op", LIKES, b"1", b'{"like_id":1,"user_id":1,"__op":"d","__deleted":"false"}', "__op is 'd', and its"),
    ("unknown-op", LIKES, b"1", b'{"like_id":1,"user_id":1,"__op":"u","__deleted":true}', "__op is 'u', and its"),
    ("bad-id", LIKES, b"1", b'{"like_id":1,"user_id":{"scale":0,"value":"ZA=="}}', "decimal.handling.mode=string"),
    ("missing-column", USERS, b"1", b'{"username": "nobody"}', "the row has no column user_id"),
    ("missing-column", USERS, b"1", b'{"op": "c", "after": {"username": "nobody"}}', "the row has no column user_id"),
    ("missing-column", LIKES, b"1", b'{"like_id": 1}', "the row has no column user_id"),
    ("missing-column", FOLLOWS, b"1", b'{"follow_id": 1, "follower_id": 1}', "the row has no column followee_id"),
    ("bad-id", LIKES, b"1", b'{"like_id": 1, "user_id": [1]}', "user_id is neither text nor an integer"),
    ("bad-id", LIKES, b"1", b'{"like_id": 1, "user_id": 1.5}', "user_id is neither text nor an integer"),
    ("bad-id", LIKES, b"1", b'{"like_id": 1, "user_id": ""}', "user_id is not 1 to 511 bytes long"),
    ("not-text", USERS, b"1", b'{"user_id": 1, "name": {}}', "the column name holds an object or an array"),
    ("not-text", USERS, b"1", b'{"user_id": 1, "location": []}', "the column location holds an object or an array"),
    ("too-large", USERS, b"1", b'{"user_id": 1, "name": "%s"}' % (b"x" * MAX_RECORD_BYTES), "does not fit"),
    ("too-large", USERS, b"1", b'{"user_id": 1, "name": "%s"}' % (rb"\u0000" * 700_000), "does not fit"),
]


@pytest.mark.parametrize(
    ("reason", "table", "key", "value", "said"), BAD, ids=[f"{case[0]}-{number}" for number, case in enumerate(BAD)]
)
def test_bad_input_has_a_reason_and_a_detail(
    reason: str, table: Table, key: bytes | None, value: bytes | None, said: str
) -> None:
    """Each kind of record that no row can be read from has its reason, and a message that fits into a log."""
    with pytest.raises(BadRow, match=re.escape(said)) as raised:
        parse_row(table, key, value)
    assert reason == raised.value.reason
    assert len(raised.value.detail) < 700


def test_the_largest_profile_still_fits_into_a_record() -> None:
    """The limit counts bytes as they will be written, escapes included."""
    room = MAX_RECORD_BYTES - ENVELOPE_BYTES - len(json.dumps(["", *NOTHING[1:]], separators=(",", ":")))
    assert fits(("x" * room, *NOTHING[1:]))
    assert not fits(("x" * (room + 1), *NOTHING[1:]))
    assert not fits(("x" * (room - 1) + "\n", *NOTHING[1:]))


DECIMAL = (
    '{"schema":{"type":"struct","fields":[{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal",'
    '"parameters":{"scale":"2"},"field":"user_id"}]},"payload":{"user_id":"JxA="}}'
)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"1.5", b'{"user_id":1.5}', "bad-id"),
        (b"100.00", DECIMAL.encode(), "key-mismatch"),
    ],
)
def test_text_that_equals_a_number_is_an_id_only_where_the_number_is_one(key: bytes, value: bytes, reason: str) -> None:
    """A user would be served under one id, and its rows counted under another."""
    with pytest.raises(BadRow) as refused:
        parse_row(USERS, key, value)
    assert reason == refused.value.reason


def test_columns_of_other_names_are_another_identity() -> None:
    """Tables that are merged into one topic may name the columns of their keys differently."""
    first = parse_row(LIKES, b'{"a":1,"like_id":2}', None).row_id
    assert first != parse_row(LIKES, b'{"like_id":1,"z":2}', None).row_id
    assert first == parse_row(LIKES, b'{"like_id":2,"a":1}', None).row_id


def test_an_identity_has_a_limit_and_its_refusal_can_be_printed() -> None:
    """It becomes a key of the store; and the name of a column may hold half an emoji."""
    with pytest.raises(BadRow, match="bad-key: the key's columns have"):
        parse_row(LIKES, b'{"like_id":1,"x":"%b"}' % (b"y" * 5_000), None)
    with pytest.raises(BadRow) as refused:
        parse_row(LIKES, b'{"x\\ud800":1}', None)
    assert refused.value.detail.encode()
