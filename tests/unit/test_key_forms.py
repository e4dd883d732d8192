"""What form a key has, how a change of it is told, and when joining may not go on."""

import json
from collections.abc import Collection, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.core.compatibility import RESET, LedgerNotes
from joiner.core.key_forms import KeyForms, compile_form, describe_change, is_plain, read_form
from joiner.core.keys import parse_key
from joiner.core.plan import Table
from joiner.core.values import load_json
from shared.errors import StateError
from tests.support.avro import DECODER
from tests.support.built_in import LIKES, TABLES
from tests.support.cluster import new_key_forms
from tests.support.strategies import keys


def with_schema(*columns: tuple[str, object, Mapping[str, object]]) -> bytes:
    """Return a key with its schema, of columns: name, value, schema."""
    fields = [{"optional": False, **schema, "field": name} for name, _, schema in columns]
    payload = {name: value for name, value, _ in columns}
    document = {"schema": {"type": "struct", "fields": fields, "name": "app.Key"}, "payload": payload}
    return json.dumps(document, separators=(",", ":")).encode()


INT32, INT64, OPTIONAL = {"type": "int32"}, {"type": "int64"}, {"type": "int32", "optional": True}
DECIMAL = {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "0"}}


@pytest.mark.parametrize(
    ("key", "form"),
    [
        (b"42", "text"),
        ("é{".encode(), "text"),
        (b"{6F9619FF-8B86}", "text"),
        (b'"42', "text"),
        (b'"42"', '"text"'),
        (b'{"like_id":42}', '{"like_id":"number"}'),
        (b'{"like_id":-1e2}', '{"like_id":"number"}'),
        (b'{"like_id":"\\"}{:\\\\"}', '{"like_id":"text"}'),
        (b'{ "like_id": "42" }', '{ "like_id": "text" }'),
        (b'{"like_id":1,"open":true,"day":null}', '{"like_id":"number","open":"boolean","day":"null"}'),
        (b'{"like_id":{"scale":0,"value":"AQ=="}}', '{"like_id":{"scale":"number","value":"text"}}'),
        (b'{"schema":{"type":"int64"},"payload":7}', '{"schema":{"type":"int64"},"payload":"number"}'),
        (b'{"payload":7,"schema":{"type":"int64"}}', '{"payload":"number","schema":{"type":"int64"}}'),
        (b'{"schema":"public","like_id":7}', '{"schema":"text","like_id":"number"}'),
    ],
)
def test_a_form_is_a_key_with_types_in_place_of_values(key: bytes, form: str) -> None:
    """Blanks, the columns' order and a schema belong to it."""
    assert form == read_form(key)


@pytest.mark.parametrize(
    "others",
    [
        [b"1", b"-22", "é".encode(), b"a b", b"S"],
        [b'"1"', b'"\\"}"', '"é"'.encode(), b'"\\u00e9"'],
        [b'{"like_id":1}', b'{"like_id":-22}', b'{"like_id":18446744073709551617}'],
        [b'{"like_id":"1"}', b'{"like_id":"{\\"like_id\\":\\"1\\"}"}', b'{"like_id":""}'],
        [b'{"like_id":1,"region":"eu","open":true}', b'{"like_id":2,"region":"\\\\","open":false}'],
        [with_schema(("like_id", 1, INT32)), with_schema(("like_id", 22, INT32))],
    ],
)
def test_keys_of_one_form_match_it_and_no_other(others: list[bytes]) -> None:
    """What is compiled for the many agrees with what is read of the one."""
    every = [b"1", b'"1"', b'{"like_id":1}', b'{"like_id":"1"}', b'{"like_id": 1}', b'{"like_id":1,"region":"eu"}']
    matches = compile_form(read_form(others[0]))
    for key in others:
        assert matches(key)
    for key in every:
        assert (read_form(key) == read_form(others[0])) == bool(matches(key))


@given(st.sampled_from(TABLES), st.data())
def test_each_key_that_can_be_read_has_a_form_which_it_matches(table: Table, data: st.DataObject) -> None:
    """In each encoding; a second key of the same writer is never refused."""
    key = data.draw(keys(table.name, data.draw(st.sampled_from(["7", "é", 'a"b', "a\\b"]))))
    parse_key(table, key, load_json, DECODER)
    key_forms = new_key_forms()
    key_forms.check(table.name, key, "first")
    key_forms.check(table.name, key, "second")
    assert key_forms.matches[table.name](key)


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (b"1", b'"1"', ("an id (plain text)", "a text (JSON)")),
        (b"1", b'{"like_id":1}', ("an id (plain text)", "like_id number (JSON)")),
        (b'{"like_id":1}', b'{"like_id":"1"}', ("like_id number", "like_id text")),
        (b'{"like_id":1}', b'{"like_id": 1}', ("like_id number (JSON)", "like_id number (JSON, with blanks)")),
        (b'{"like_id":1}', b'{"tenant":1,"like_id":1}', ("like_id number", "tenant number, like_id number")),
        (with_schema(("like_id", 1, INT32)), with_schema(("like_id", 1, INT64)), ("like_id int32", "like_id int64")),
        (
            with_schema(("like_id", 1, INT32)),
            with_schema(("like_id", "AQ==", DECIMAL)),
            ("like_id int32", "like_id Decimal"),
        ),
        (
            with_schema(("like_id", 1, INT32)),
            with_schema(("like_id", 1, OPTIONAL)),
            (
                '…ields":[{"optional":false,"type":"int32","field":"like_id"}]…',
                '…ields":[{"optional":true,"type":"int32","field":"like_id"}],…',
            ),
        ),
        (b'{"like_id": 1}', b'{"like_id": 1} ', ('…"like_id": "number"}…', '…"like_id": "number"} …')),
    ],
)
def test_a_change_is_told_by_what_differs(one: bytes, other: bytes, said: tuple[str, str]) -> None:
    """Columns, types and encoding, in words; what has none, as it stands."""
    assert said == describe_change(read_form(one), read_form(other))


@pytest.mark.parametrize(
    ("key", "plain"),
    [
        (b"1", True),
        (b'{"like_id":1}', True),
        (with_schema(("like_id", 1, INT64)), True),
        (b'{"schema":{"type":"int64"},"payload":7}', True),
        (b'{"tenant":1,"like_id":1}', False),
        (with_schema(("like_id", 1, INT64), ("tenant", 1, INT64)), False),
        (with_schema(("like_id", "AQ==", DECIMAL)), False),
        (json.dumps({"schema": DECIMAL, "payload": "AQ=="}).encode(), False),
    ],
)
def test_state_of_an_earlier_version_goes_on_where_it_read_the_same_rows(key: bytes, plain: bool) -> None:
    """A row was its primary key alone, as it stood; where it is more now, it would count again beside itself."""
    assert plain == is_plain(read_form(key))
    earlier = KeyForms(["likes"], LedgerNotes(), lambda _, form: [form])
    if plain:
        earlier.check("likes", key, "here")
        earlier.check("likes", key, "again")
    else:
        with pytest.raises(StateError, match="the earlier version that joined this state read other rows") as refused:
            earlier.check("likes", key, "here")
        assert RESET == refused.value.hint
    new_key_forms().check("likes", key, "here")


def test_a_form_is_noted_once_and_then_known() -> None:
    """Also by those that begin later with what was noted."""
    noted: list[tuple[str, str]] = []

    def note(topic: str, form: str) -> Collection[str]:
        noted.append((topic, form))
        return [form]

    key_forms = KeyForms(["likes", "users"], LedgerNotes(forms_are_whole=True), note)
    for key in (b"1", b"2"):
        key_forms.check("likes", key, "here")
    key_forms.check("users", b'{"user_id":1}', "here")
    assert [("likes", "text"), ("users", '{"user_id":"number"}')] == noted
    later = KeyForms(["likes", "users"], LedgerNotes(key_forms={"likes": ["text"]}), note)
    later.check("likes", b"3", "here")
    with pytest.raises(
        StateError, match=r"likes has keys of two forms, an id \(plain text\) and a text \(JSON\) \(at likes"
    ):
        later.check("likes", b'"3"', "likes[0]@7")
    assert 2 == len(noted)


def test_two_joiners_that_meet_two_forms_at_once_do_not_both_go_on() -> None:
    """Each reads the notes after it has written its own, so the later one finds both; no start goes on from there."""
    notes: dict[str, list[str]] = {"likes": []}

    def note(topic: str, form: str) -> Collection[str]:
        notes[topic].append(form)
        return list(notes[topic])

    first, second = (KeyForms(["likes"], LedgerNotes(forms_are_whole=True), note) for _ in range(2))
    first.check("likes", b"1", "likes[0]@0")
    with pytest.raises(StateError, match="likes has keys of two forms"):
        second.check("likes", b'{"like_id":1}', "likes[1]@0")
    with pytest.raises(StateError, match="likes has keys of two forms"):
        KeyForms(["likes"], LedgerNotes(key_forms=notes), note)


def test_what_cannot_be_utf_8_has_a_form_all_the_same() -> None:
    """A schema may hold any bytes; whoever reads the key takes no notice of them."""
    key = b'{"schema":{"type":"int64","doc":"caf\xe9 \\ud83d"},"payload":7}'
    assert ("7", None) == parse_key(LIKES, key, load_json)
    key_forms = new_key_forms()
    for _ in range(2):
        key_forms.check("likes", key, "here")
    with pytest.raises(StateError, match=r"a number \(JSON with a schema\) and an id \(plain text\)"):
        key_forms.check("likes", b"7", "here")
