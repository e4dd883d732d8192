"""Bytes in: the same row in every encoding, any bytes at all, ids of any size."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from joiner.core.checkpoint import Checkpoint
from joiner.core.plan import Table
from joiner.core.records import SourceRecord
from joiner.core.rows import RowChange, parse_row
from shared.errors import BadRow
from shared.records import MAX_ID_BYTES
from tests.support.avro import DECODER, write_avro
from tests.support.built_in import FOLLOWS, LIKES, PLAN, TABLES, USERS
from tests.support.cluster import DictStore
from tests.support.strategies import keys, rows, spell_id, values

user_rows = rows("users")
tables = st.sampled_from(TABLES)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
COLUMNS = "user_id tweet_id follow_id follower_id followee_id like_id name op before after schema payload source"
IDS = ["user_id", "tweet_id", "follow_id", "follower_id", "followee_id", "like_id"]
KNOWN_ROWS = {b"1": b'["1","2"]'}
near_misses = st.dictionaries(
    st.sampled_from(COLUMNS.split()),
    json_values | st.dictionaries(st.sampled_from(["user_id", "like_id", "ts_ms", "name"]), json_values),
)
avro_rows = st.sampled_from(
    [
        write_avro({"user_id": 1, "name": "x", "like_id": 1, "tweet_id": 1, "follow_id": 1, "follower_id": "é"}),
        write_avro({"op": "c", "after": {"user_id": 1, "tags": ["a", "b"], "joined_date": b"\1\2"}, "points": 0.5}),
        write_avro(7),
    ]
)


@st.composite
def broken_avro(draw: st.DrawFn) -> bytes:
    """Draw Avro with other bytes in it, or cut off, under ids that may exist."""
    whole = draw(avro_rows)
    begin = draw(st.integers(0, len(whole)))
    return whole[:begin] + draw(st.binary(max_size=12)) + whole[draw(st.integers(begin, len(whole))) :]


hostile_values = st.one_of(
    st.binary(),
    broken_avro(),
    near_misses.map(lambda row: {**dict.fromkeys(IDS, 1), **row}).map(json.dumps).map(str.encode),
    json_values.map(json.dumps).map(str.encode),
    near_misses.map(json.dumps).map(str.encode),
    st.just(b"[" * 100_000),
    st.just(b'{"user_id":' * 2_000),
    st.just(b'{"user_id":1e999999}'),
    st.just(b'{"user_id":"\\ud800"}'),
    st.just(b'{"user_id":1,"x":1e999,"name":"\\udfff"}'),
)


@given(st.data(), user_rows)
def test_a_row_is_the_same_in_every_encoding(data: st.DataObject, row: dict[str, str | None]) -> None:
    """Flat, envelope, wrapped or not, in JSON or Avro, with any form of key: one row, one change."""
    change = data.draw(values("users", "7", (None, row), 5))
    read = parse_row(USERS, data.draw(keys("users", "7")), change, DECODER)
    assert ("7", (row["username"], None, row["description"], *[None] * 5)) == (read.row_id, read.values)


@given(tables, st.just(b"1") | st.none() | st.binary() | broken_avro() | st.text().map(str.encode), hostile_values)
@example(FOLLOWS, b"1", b'{"follow_id":1,"follower_id":{},"followee_id":null}')
@example(USERS, b"1", b'{"op":' + b"[" * 1_000 + b"]" * 1_000 + b"}")
def test_any_bytes_give_a_row_or_a_dead_letter_and_a_dead_letter_changes_no_state(
    table: Table, key: bytes | None, value: bytes
) -> None:
    """Nothing that a producer can write raises anything but BadRow, at once or later on the way to a record."""
    rows, users, checkpoint = DictStore(), DictStore(), Checkpoint(PLAN, avro=DECODER)
    rows.content = dict(KNOWN_ROWS)
    is_bad = False
    try:
        checkpoint.take_row(table, rows if table.columns else None, SourceRecord(key, value, 1, 1))
    except BadRow:
        is_bad = True
    checkpoint.save()
    packs = [pack for _, pack in checkpoint.pack_changes(1)]
    assert not is_bad or (KNOWN_ROWS, []) == (rows.content, packs)
    later = Checkpoint(PLAN)
    for offset, pack in enumerate(packs):
        later.take_changes(users, offset, pack)
    later.save()
    for record in later.render_records():
        assert 1 <= len(record.key) <= MAX_ID_BYTES
        assert record.value is None or record.key.decode() == json.loads(record.value)["userId"]


@given(st.integers(-(2**70), 2**70) | st.integers(-(10**500), 10**500))
@example(2**63)
@example(2**64 + 1)
@example(10**400)
def test_integer_ids_of_any_size_are_exact(number: int) -> None:
    """An id is never rounded, and is the same user as its text."""
    as_number, as_text = (f'{{"user_id": {spelling}}}'.encode() for spelling in (number, f'"{number}"'))
    key = str(number).encode()
    assert parse_row(USERS, key, as_number) == parse_row(USERS, key, as_text)
    assert parse_row(USERS, as_number, None) == parse_row(USERS, key, None) == RowChange(str(number), None)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_fraction_is_no_id_and_keeps_its_text_in_a_profile(number: float) -> None:
    """1.5 and 1e3 identify no user; as a name they are the text that was written."""
    text = repr(number)
    row = f'{{"user_id": 1, "name": {text}}}'.encode()
    assert (None, text, *[None] * 6) == parse_row(USERS, b"1", row).values
    with pytest.raises(BadRow, match="bad-id"):
        parse_row(USERS, b"1", f'{{"user_id": {text}}}'.encode())


@given(st.text(min_size=1, max_size=600))
def test_ids_are_1_to_511_bytes_of_utf_8(text: str) -> None:
    """Length counts in bytes, as LMDB counts it."""
    document = json.dumps({"user_id": text}).encode("utf-8", "surrogatepass")
    fits = not any("\ud800" <= char <= "\udfff" for char in text) and len(text.encode()) <= 511
    if fits:
        assert text == parse_row(USERS, document, document).row_id
    else:
        with pytest.raises(BadRow):
            parse_row(USERS, b"x", document)


def test_spelled_knows_numbers() -> None:
    """The strategies do use both spellings of an id."""
    assert (7, "7", "a") == (
        spell_id("7", as_number=True),
        spell_id("7", as_number=False),
        spell_id("a", as_number=True),
    )


utf_8 = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)
key_columns = st.dictionaries(st.sampled_from(["tenant_id", "region", "day"]), utf_8, max_size=3)


@given(st.lists(st.tuples(utf_8.filter(bool), key_columns), min_size=2, max_size=2), st.data())
def test_a_row_is_all_columns_of_its_key(rows: list[tuple[str, dict[str, str]]], data: st.DataObject) -> None:
    """Keys of the same columns name the same row exactly if all are equal, in whatever order they stand."""
    found = []
    for like_id, others in rows:
        columns = data.draw(st.permutations([("like_id", like_id), *others.items()]))
        document: object = dict(columns)
        if data.draw(st.booleans()):
            document = {"schema": {"type": "struct"}, "payload": document}
        found.append(parse_row(LIKES, json.dumps(document).encode(), None).row_id)
    one, other = rows
    if one[1].keys() == other[1].keys():
        assert (one == other) == (found[0] == found[1])
    elif not one[1] or not other[1]:
        assert found[0] != found[1]
