"""Rows of Kafka Connect's JDBC source, as its documentation and Connect's converters have them, are read as they are.

The connector writes no key unless transforms set one: `ValueToKey` makes an object of columns, `ExtractField$Key` takes
one value out of it. It never writes a deletion. `schemas.enable` of the converter decides whether schemas are beside.
"""

import json

import pytest

from joiner.core.key_forms import read_form
from joiner.core.plan import compile_view
from joiner.core.rows import RowChange, parse_row
from shared.errors import BadRow
from shared.unavailable import UNAVAILABLE, expand_placeholder
from stack.examples import find_example
from tests.support.built_in import LIKES, USERS

SHOP = compile_view(find_example("shop").view, expand_placeholder(UNAVAILABLE)).tables

KAFKA = "org.apache.kafka.connect.data."

FLAT_LIKE = b'{"like_id":30,"user_id":2,"tweet_id":10}'
LIKE_WITH_SCHEMA = (
    b'{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"like_id"},'
    b'{"type":"int64","optional":true,"field":"user_id"},{"type":"int64","optional":true,"field":"tweet_id"}],'
    b'"optional":false,"name":"likes"},"payload":{"like_id":30,"user_id":2,"tweet_id":10}}'
)
VALUE_TO_KEY = b'{"like_id":30}'
VALUE_TO_KEY_WITH_SCHEMA = (
    b'{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"like_id"}],"optional":false},'
    b'"payload":{"like_id":30}}'
)
EXTRACTED = b"30"
EXTRACTED_WITH_SCHEMA = b'{"schema":{"type":"int64","optional":false},"payload":30}'


@pytest.mark.parametrize("value", [FLAT_LIKE, LIKE_WITH_SCHEMA])
@pytest.mark.parametrize("key", [VALUE_TO_KEY, VALUE_TO_KEY_WITH_SCHEMA, EXTRACTED, EXTRACTED_WITH_SCHEMA])
def test_a_row_is_read_whatever_the_converters_write(key: bytes, value: bytes) -> None:
    """Keys and values have converters of their own."""
    assert RowChange("30", ("2",)) == parse_row(LIKES, key, value)


def test_keys_of_each_setting_are_a_form_of_their_own() -> None:
    """A transform or a converter that is changed later writes other keys, which the joiner refuses by name."""
    forms = {read_form(key) for key in (VALUE_TO_KEY, VALUE_TO_KEY_WITH_SCHEMA, EXTRACTED, EXTRACTED_WITH_SCHEMA)}
    assert 4 == len(forms)


def test_without_transforms_there_is_no_key_and_no_row() -> None:
    """A dead letter says what a key has to be."""
    with pytest.raises(BadRow, match="null-key: the record has no key; a changelog's key is the row's primary key"):
        parse_row(LIKES, None, FLAT_LIKE)


def test_a_struct_as_text_is_no_key() -> None:
    """StringConverter writes an object so; with `ExtractField$Key` it writes the value, which is fine."""
    with pytest.raises(BadRow):
        parse_row(LIKES, b"Struct{like_id=30}", FLAT_LIKE)
    assert RowChange("30", ("2",)) == parse_row(LIKES, b"30", FLAT_LIKE)


def test_text_and_times_of_a_user() -> None:
    """A TIMESTAMP is milliseconds under Connect's own schema; without a schema only its number arrives."""
    fields = [
        {"type": "int64", "optional": False, "field": "user_id"},
        {"type": "string", "optional": False, "field": "username"},
        {
            "type": "int64",
            "optional": True,
            "name": f"{KAFKA}Timestamp",
            "version": 1,
            "field": "joined_date",
        },
    ]
    row = {"user_id": 1, "username": "alice", "joined_date": 1_231_898_676_005}
    value = {"schema": {"type": "struct", "fields": fields, "optional": False, "name": "users"}, "payload": row}
    found = parse_row(USERS, b'{"user_id":1}', json.dumps(value).encode())
    assert found.values is not None
    assert ("alice", "2009-01-14T02:04:36.005Z") == (found.values[0], found.values[5])


def test_decimals_and_days_of_a_shop() -> None:
    """NUMERIC is base64 of its bytes, with the scale in the schema's parameters; DATE is days."""
    fields = [
        {"type": "int64", "optional": False, "field": "customer_id"},
        {"type": "string", "optional": False, "field": "email"},
        {
            "type": "int32",
            "optional": True,
            "name": "org.apache.kafka.connect.data.Date",
            "version": 1,
            "field": "born",
        },
        {
            "type": "bytes",
            "optional": True,
            "name": f"{KAFKA}Decimal",
            "version": 1,
            "parameters": {"scale": "2", "connect.decimal.precision": "12"},
            "field": "credit_limit",
        },
        {"type": "boolean", "optional": False, "field": "newsletter"},
        {"type": "int64", "optional": True, "field": "referrer_id"},
    ]
    row = {
        "customer_id": 1,
        "email": "a@example.org",
        "born": 14_258,
        "credit_limit": "MDk=",
        "newsletter": True,
        "referrer_id": None,
    }
    value = {"schema": {"type": "struct", "fields": fields, "optional": False, "name": "customers"}, "payload": row}
    found = parse_row(SHOP["customers"], b'{"customer_id":1}', json.dumps(value).encode())
    assert ("2009-01-14", "123.45", "true") == (found.values or ())[3:6]


def test_a_key_of_two_columns() -> None:
    """`ValueToKey` with `fields=order_id,line`."""
    key = b'{"order_id":"6f9619ff-8b86-d011-b42d-00cf4fc964ff","line":2}'
    row = b'{"order_id":"6f9619ff-8b86-d011-b42d-00cf4fc964ff","line":2,"customer_id":1,"quantity":3}'
    found = parse_row(SHOP["order_items"], key, row)
    assert ("1", "3") == found.values
    assert found.row_id == parse_row(SHOP["order_items"], key, None).row_id
