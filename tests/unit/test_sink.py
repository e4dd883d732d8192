"""What a sink decides without a server: columns, fields, statements, and the state next to a copy."""

import json

import pytest

from replication.compatibility import CopyIdentity
from replication.records import Record
from shared.builds import BuildMark
from shared.errors import SettingError
from shared.heartbeats import Heartbeat
from shared.settings import read_settings
from shared.shape import BUILT_IN_SHAPE, SHAPE_KEY, FieldShape, Shape, SumShape
from sink.errors import ForeignData
from sink.postgres import statements
from sink.postgres.columns import Column, find_change, to_columns, to_snake_case
from sink.records import check_id, split_record
from sink.redis.commands import find_reason, render_hash, render_string
from sink.settings import RedisSettings
from sink.state import CopyState

SHAPE = Shape(
    "shops",
    "shopId",
    (FieldShape("openSince", "date"), FieldShape("more", "json"), FieldShape("limit", "decimal", 2)),
    ("orderCount",),
    (SumShape("spentCents"), SumShape("paid", 2)),
)
TOPIC = CopyIdentity("cluster", "t1", 2, 1)


@pytest.mark.parametrize(
    ("key", "column"),
    [
        ("userId", "user_id"),
        ("webPageUrl", "web_page_url"),
        ("webPageURL", "web_page_url"),
        ("URLOfPage", "url_of_page"),
        ("plain", "plain"),
        ("with-dash", "with_dash"),
        ("sha256Sum", "sha256_sum"),
    ],
)
def test_columns_are_called_as_keys_in_snake_case(key: str, column: str) -> None:
    """The columns of the built-in view are those of its table."""
    assert column == to_snake_case(key)


def test_each_key_has_a_column_of_its_type() -> None:
    """Counts are integers, sums and decimals exact numbers, JSON is kept as it is, all else is text."""
    assert [
        Column("shopId", "shop_id", "text"),
        Column("openSince", "open_since", "text"),
        Column("more", "more", "json"),
        Column("limit", "limit", "numeric"),
        Column("orderCount", "order_count", "bigint"),
        Column("spentCents", "spent_cents", "numeric"),
        Column("paid", "paid", "numeric"),
    ] == to_columns(SHAPE)


@pytest.mark.parametrize(
    ("counts", "says"),
    [(("fooBar", "foo_bar"), "the keys fooBar and foo_bar would both be"), (("x" * 64,), "is too long for a column")],
)
def test_keys_that_cannot_be_columns_are_named(counts: tuple[str, ...], says: str) -> None:
    """PostgreSQL would cut the name off, and fill the wrong column."""
    with pytest.raises(ForeignData, match=says):
        to_columns(Shape("t", "id", (), counts, ()))


def test_only_added_keys_are_added_in_place() -> None:
    """A key that is gone, or of another type, wants another table."""
    old = [Column("id", "id", "text"), Column("a", "a", "text")]
    more = [*old, Column("b", "b", "bigint")]
    assert ([more[2]], None) == find_change(old, more)
    assert ([], "the view no longer has the key b") == find_change(more, old)
    assert "another type" in str(find_change(old, [old[0], Column("a", "a", "json")])[1])


def test_names_are_quoted_in_statements() -> None:
    """A percent sign is no placeholder, a quote ends no name."""
    columns = [Column("i", "i", "text"), Column('a"%s', 'b"%', "bigint")]
    assert (
        'INSERT INTO "t" ("i", "b""%%") SELECT r."i", r."a""%%s" FROM json_to_recordset(%s::json)'
        ' AS r("i" text, "a""%%s" bigint) ON CONFLICT ("i") DO UPDATE SET "b""%%" = EXCLUDED."b""%%"'
    ) == statements.upsert("t", columns)
    assert 'DELETE FROM "t" WHERE "i" = ANY(%s)' == statements.delete("t", columns)


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ("{}", {}),
        (' { "a" : 1 , "b":null}\n', {"a": "1", "b": None}),
        ('{"a":"x\\u0000\\n","b":"","c":true}', {"a": "x\0\n", "b": "", "c": "true"}),
        ('{"a":123456789012345678901234567890,"b":-0.10}', {"a": "123456789012345678901234567890", "b": "-0.10"}),
        ('{"a":{"x": [1.50, "}"]},"b":[]}', {"a": '{"x": [1.50, "}"]}', "b": "[]"}),
        ('{"ä\\"":"🦉"}', {'ä"': "🦉"}),
    ],
)
def test_a_record_is_split_without_reading_its_numbers(value: str, fields: dict[str, str | None]) -> None:
    """Text as it is, anything else as the JSON that stands there, null as nothing."""
    assert fields == split_record(value.encode())


@pytest.mark.parametrize(
    "value", ["", "{", "[]", "3", '{"a"}', '{"a":1}x', '{"a":1,}', "{1:2}", '{"a" 1}', '{"a":1 "b":2}']
)
def test_what_is_no_object_is_refused(value: str) -> None:
    """Nothing of it is taken."""
    with pytest.raises(ValueError, match=r"."):
        split_record(value.encode())


@pytest.mark.parametrize("user", ["42", 'q"\\', "ä🦉", "a\0b"])
def test_a_record_under_another_key_is_noticed(user: str) -> None:
    """However it is written, and also where the value ends the array that it is put into."""
    key = user.encode()
    for ascii_only in (True, False):
        value = json.dumps({"userId": user, "n": 1}, ensure_ascii=ascii_only, separators=(",", ":")).encode()
        assert check_id("userId", key, value) is None
    assert "its userId is not its key" == check_id("userId", key, b'{"userId":"x","n":1}')
    assert "its userId is not its key" == check_id("userId", key, b'{"n":1}')
    assert "its value is not a JSON object" == check_id("userId", key, b"[]")
    assert "its value is not JSON" in str(check_id("userId", key, b'{"userId":"\xff"}'))


def test_a_hash_is_written_anew_and_a_string_as_it_is() -> None:
    """A field that the record no longer has must not stay."""
    value = b'{"userId":"1","name":null,"n":1}'
    assert [(b"DEL", b"user:1"), (b"HSET", b"user:1", b"userId", b"1", b"n", b"1")] == [*render_hash(b"user:1", value)]
    assert [(b"SET", b"user:1", value)] == [*render_string(b"user:1", value)]
    assert "cannot be a hash" in str(find_reason("userId", b"1", b'{"userId":"1","n":"\\ud800"}', render_hash))
    assert find_reason("userId", b"1", b"anything", render_string) is None


@pytest.mark.parametrize("prefix", ["s", "sink:", "si"])
def test_a_prefix_that_would_hold_the_sinks_own_keys_is_refused(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    """They would be taken for users, and deleted with them."""
    monkeypatch.setenv("SINK_REDIS_PREFIX", prefix)
    with pytest.raises(SettingError, match="choose another"):
        read_settings(RedisSettings)


def test_the_state_follows_batches_and_survives_the_store() -> None:
    """Offsets never go back, the newest marks stay, and those of former parts go."""
    beat, mark, former = Heartbeat(1, 2, 7_000), BuildMark(1, 2, "b", whole=True), BuildMark(0, 3, "a", whole=False)
    state = CopyState.begin(TOPIC, 5).follow(
        {1: 4}, [Record(former.key, former.value, 1, 2, 0), Record(beat.key, beat.value, 1, 3, 0)], has_users=True
    )
    state = state.follow({1: 3, 0: 9}, [Record(mark.key, mark.value, 1, 4, 0)], has_users=False)
    assert ({1: 4, 0: 9}, True) == (state.offsets, state.has_users)
    assert ([(1, mark)], [(1, beat)]) == ([*state.marks()], state.heartbeats())
    state = state.note_complete(9, whole=True)
    assert state == CopyState.from_document(json.loads(json.dumps(state.to_document())))
    assert (9, 5) == (state.since_ms, state.begun)


def test_an_older_shape_that_is_read_later_is_passed_over() -> None:
    """It lies behind the newer one, in another partition: which is newer, their times say."""
    new, old = SHAPE.encode(), BUILT_IN_SHAPE.encode()
    said = [Record(SHAPE_KEY, new, 0, 1, 2_000), Record(SHAPE_KEY, old, 1, 1, 1_000)]
    state = CopyState.begin(TOPIC, 5).follow({0: 2, 1: 2}, said, has_users=False)
    assert (SHAPE, 2_000) == (state.known_shape, state.shape_ms)
