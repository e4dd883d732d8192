"""One checkpoint's work over plain dictionaries: what it sends on, what it shows, what it keeps."""

import json
import re

import pytest

from joiner.core.chain import FOLLOWED_KEY
from joiner.core.checkpoint import PACK_BYTES, Checkpoint
from joiner.core.columns import complete_row
from joiner.core.partition_work import APPLIED_OFFSET_KEY, Store
from joiner.core.plan import compile_view
from joiner.core.records import OutputRecord, SourceRecord
from joiner.core.users import make_request_entry
from shared.errors import BadRow
from shared.topics import MAX_RECORD_BYTES, partition_of
from shared.unavailable import UNAVAILABLE
from shared.view.file import parse_view
from tests.support.built_in import LIKES, PLAN, USERS
from tests.support.cluster import DictStore

NOW_MS = 1_000


def source(key: str, value: object, time_ms: int = 10) -> SourceRecord:
    """Return a record as a connector might write it."""
    return SourceRecord(key.encode(), None if value is None else json.dumps(value).encode(), time_ms, NOW_MS)


def like(like_id: int, user_id: object, time_ms: int = 10) -> SourceRecord:
    """Return a like as flat JSON."""
    return source(str(like_id), {"like_id": like_id, "user_id": user_id}, time_ms)


def entries(checkpoint: Checkpoint, partitions: int = 1) -> list[list[object]]:
    """Return what stage 1 passes on, unpacked."""
    return [entry for _, pack in checkpoint.pack_changes(partitions) for entry in json.loads(pack)]


def apply_and_show(store: Store, *packs: bytes, first_offset: int = 0) -> list[OutputRecord]:
    """Apply internal records in a checkpoint of their own, save it, and return what it shows."""
    checkpoint = Checkpoint(PLAN)
    for offset, pack in enumerate(packs, first_offset):
        checkpoint.take_changes(store, offset, pack)
    records = list(checkpoint.render_records())
    checkpoint.save()
    return records


def test_many_rows_of_one_user_are_one_entry() -> None:
    """A user who gains a thousand likes costs one internal entry."""
    checkpoint, store = Checkpoint(PLAN), DictStore()
    for like_id in range(1_000):
        checkpoint.take_row(LIKES, store, like(like_id, 7, time_ms=100 - like_id % 50))
    assert [["7", 100, 51, [0, 0, 0, 1_000], False]] == entries(checkpoint)


def test_a_row_that_comes_and_goes_leaves_nothing() -> None:
    """Within one checkpoint what cancels out is neither sent on nor stored."""
    checkpoint, store = Checkpoint(PLAN), DictStore()
    checkpoint.take_row(LIKES, store, like(1, "a"))
    checkpoint.take_row(LIKES, store, source("1", None))
    checkpoint.save()
    assert ([], {}) == (entries(checkpoint), store.content)


def test_a_row_is_diffed_against_the_state_of_earlier_checkpoints() -> None:
    """A moved row takes from one and gives to the other; delivered again it does neither."""
    store = DictStore()
    for owner, expected in (
        ("a", [["a", 10, 10, [0, 0, 0, 1], False]]),
        ("a", []),
        ("b", [["a", 10, 10, [0, 0, 0, -1], False], ["b", 10, 10, [0, 0, 0, 1], False]]),
    ):
        checkpoint = Checkpoint(PLAN)
        checkpoint.take_row(LIKES, store, like(1, owner))
        assert expected == entries(checkpoint)
        checkpoint.save()
    assert {b"1": b'["b"]'} == store.content


def test_nothing_is_stored_before_the_checkpoint_is_saved() -> None:
    """What dies with a checkpoint has left no trace."""
    checkpoint, store = Checkpoint(PLAN), DictStore()
    checkpoint.take_row(LIKES, store, like(1, "a"))
    checkpoint.take_changes(store, 0, b'[["a",10,10,[0,0,0,1],false]]')
    assert [] != entries(checkpoint)
    assert {} == store.content


def test_a_bad_row_changes_nothing() -> None:
    """The owners known before stay known, and nothing is sent on."""
    store = DictStore()
    store.set(b"1", b'["a"]')
    checkpoint = Checkpoint(PLAN)
    with pytest.raises(BadRow):
        checkpoint.take_row(LIKES, store, source("1", {"like_id": 1}))
    checkpoint.save()
    assert ([], {b"1": b'["a"]'}) == (entries(checkpoint), store.content)


def test_times_are_the_sources_or_the_records_and_never_in_the_future() -> None:
    """A source whose clock runs ahead would have its records refused by the broker."""
    envelope = {"op": "c", "after": {"like_id": 2, "user_id": "b"}, "source": {"ts_ms": 5}}
    ahead = {"op": "c", "after": {"like_id": 3, "user_id": "c"}, "source": {"ts_ms": NOW_MS + 1}}
    checkpoint, store = Checkpoint(PLAN), DictStore()
    for record in (like(1, "a", time_ms=10), source("2", envelope), source("3", ahead)):
        checkpoint.take_row(LIKES, store, record)
    assert [("a", 10, 10), ("b", 5, 5), ("c", NOW_MS, NOW_MS)] == [tuple(entry[:3]) for entry in entries(checkpoint)]


def test_a_users_changes_go_to_the_partition_of_the_user() -> None:
    """All that concerns one user meets in one partition, in order."""
    checkpoint, store = Checkpoint(PLAN), DictStore()
    for like_id, user in enumerate("abcdefgh"):
        checkpoint.take_row(LIKES, store, like(like_id, user))
    for partition, pack in checkpoint.pack_changes(3):
        assert {partition} == {partition_of(entry[0].encode(), 3) for entry in json.loads(pack)}
    assert list("abcdefgh") == sorted(str(entry[0]) for entry in entries(checkpoint, 3))


def test_packs_stay_small_and_keep_every_entry() -> None:
    """Large profiles are spread over several internal records; one too large for any has a record of its own."""
    checkpoint = Checkpoint(PLAN)
    sizes = [100, PACK_BYTES // 2, PACK_BYTES // 2, 2 * PACK_BYTES, 100]
    for user_id, size in enumerate(sizes):
        row = {"user_id": user_id, "description": "d" * size}
        checkpoint.take_row(USERS, None, source(str(user_id), row))
    packs = [json.loads(pack) for _, pack in checkpoint.pack_changes(1)]
    assert [["0", "1"], ["2"], ["3"], ["4"]] == [[entry[0] for entry in pack] for pack in packs]


def test_an_internal_record_is_applied_once_however_often_it_is_delivered() -> None:
    """The offset is stored with the states, so that a group that lost its offsets counts nothing twice."""
    store = DictStore()
    profile, a_like = b'[["a",1,1,[0,0,0,0],[null,null,null,null,null,null,null,null]]]', b'[["a",2,2,[0,0,0,1],false]]'
    assert 1 == len(apply_and_show(store, profile, a_like))
    assert b"2" == store.content[APPLIED_OFFSET_KEY]
    assert [] == apply_and_show(store, profile, a_like)
    (record,) = apply_and_show(store, a_like, first_offset=2)
    assert 2 == json.loads(record.value or b"")["likeCount"]


def test_a_user_is_shown_once_a_checkpoint_and_only_where_something_is_new() -> None:
    """Many changes, one record; changes that cancel out, none; a user without profile, none."""
    store = DictStore()
    up, down = b'[["a",5,5,[0,0,0,1],false]]', b'[["a",6,6,[0,0,0,-1],false]]'
    profile = b'[["a",7,7,[0,0,0,0],["alice",null,null,null,null,null,null,null]]]'
    gone = b'[["a",8,8,[0,0,0,0],null]]'
    assert [] == apply_and_show(store, up, first_offset=0)
    (record,) = apply_and_show(store, up, profile, first_offset=1)
    assert (b"a", 7, 5) == (record.key, record.newest_ms, record.oldest_ms)
    assert [] == apply_and_show(store, up, down, first_offset=3)
    assert [OutputRecord(b"a", None, 8, 8)] == apply_and_show(store, gone, first_offset=5)
    assert [] == apply_and_show(store, gone, first_offset=6)
    assert {b"a", FOLLOWED_KEY, APPLIED_OFFSET_KEY} == store.content.keys()
    assert [] == apply_and_show(store, down, down, first_offset=7)
    assert {FOLLOWED_KEY, APPLIED_OFFSET_KEY} == store.content.keys()


def test_rows_of_a_snapshot_and_what_had_been_waiting_have_no_age() -> None:
    """Their age is unknown; a change that comes with them has its time, and a record shown again has none."""
    envelope = {"after": {"like_id": "1", "user_id": "a"}, "op": "r", "source": {"ts_ms": 3}}
    store, changes = DictStore(), DictStore()
    as_it_stood = SourceRecord(b"1", json.dumps(envelope).encode(), 9, 10)
    had_waited = SourceRecord(b"2", json.dumps({"like_id": "2", "user_id": "a"}).encode(), 4, 10, is_news=False)
    new = SourceRecord(b"3", json.dumps({"like_id": "3", "user_id": "a"}).encode(), 6, 10)
    alice = b'[["a",1,1,[0,0,0,0],["alice",null,null,null,null,null,null,null]]]'
    apply_and_show(changes, alice)
    for offset, (rows, times) in enumerate([([as_it_stood], (3, None)), ([had_waited, new], (6, 6))], 1):
        checkpoint = Checkpoint(PLAN)
        for row in rows:
            checkpoint.take_row(LIKES, store, row)
        checkpoint.save()
        ((_, pack),) = checkpoint.pack_changes(1)
        (record,) = apply_and_show(changes, pack, first_offset=offset)
        assert (record.newest_ms, record.oldest_ms) == times
    (again,) = apply_and_show(changes, json.dumps([make_request_entry("a", 99)]).encode(), first_offset=3)
    assert (6, None) == (again.newest_ms, again.oldest_ms)


def test_size_counts_what_is_held_in_memory() -> None:
    """The commit policy closes a checkpoint early by it."""
    checkpoint, store, changes = Checkpoint(PLAN), DictStore(), DictStore()
    assert 0 == checkpoint.size
    checkpoint.take_row(LIKES, store, like(1, "a"))
    assert 2 == checkpoint.size
    checkpoint.take_changes(changes, 0, b'[["a",10,10,[0,0,0,1],false]]')
    assert 3 == checkpoint.size


def test_a_record_that_is_asked_for_is_shown_as_it_is() -> None:
    """Who exists is written again, who does not is taken back; neither changes anything."""
    store = DictStore()
    profile = Checkpoint(PLAN)
    profile.take_row(USERS, None, source("a", {"user_id": "a", "username": "alice"}))
    apply_and_show(store, *[pack for _, pack in profile.pack_changes(1)])
    before = dict(store.content)
    asked = json.dumps([make_request_entry("a", 77), make_request_entry("nobody", 77)]).encode()
    alice, nobody = apply_and_show(store, asked, first_offset=1)
    assert (b"a", 10) == (alice.key, alice.newest_ms)
    assert alice.value is not None
    assert OutputRecord(b"nobody", None, 77, None) == nobody
    assert {key for key in before if key[:1] != b"\xff"} == {k for k in store.content if k[:1] != b"\xff"}


def test_unknown_values_are_counted() -> None:
    """A value that the source left out as unchanged is null where none is known, and is counted."""
    checkpoint = Checkpoint(PLAN)
    checkpoint.take_row(LIKES, DictStore(), like(1, UNAVAILABLE))
    assert (1, []) == (checkpoint.unknown_values, entries(checkpoint))


def test_large_profiles_fill_a_checkpoint_sooner() -> None:
    """Memory is bounded by what profiles take, not by how many there are."""
    checkpoint = Checkpoint(PLAN)
    checkpoint.take_row(USERS, None, source("a", {"user_id": "a", "description": "d" * 1_000_000}))
    assert checkpoint.size > 400


SHOP = compile_view(
    parse_view("""
[record]
of = "shops"
id = "id"
as = "id"

[fields]
name = "name"

[counts]
branches = { of = "shops", by = "parent", where = { state = "open" } }

[sums]
sold = { of = "sales", by = "shop", column = "cents" }

[tables]
shops = { key = "id" }
sales = { key = ["day", "till"] }
""")
)
SHOPS, SALES = SHOP.tables.values()


def test_a_row_that_is_a_record_and_is_counted_is_both_or_neither() -> None:
    """It changes its own profile and its owner's aggregate, and is kept for what is read of it."""
    checkpoint, store = Checkpoint(SHOP), DictStore()
    checkpoint.take_row(SHOPS, store, source("b", {"id": "b", "name": "B", "parent": "a", "state": "open"}))
    checkpoint.save()
    assert [["a", 10, 10, [1, 0], False], ["b", 10, 10, [0, 0], ["B"]]] == entries(checkpoint)
    assert {b"b": b'["a","open"]'} == store.content


def test_a_row_that_cannot_be_summed_changes_nothing() -> None:
    """Neither what is known of it, nor what it added before, nor the count of values that were not sent."""
    store, key = DictStore(), '{"day":1,"till":2}'
    for cents, expected in ((5, [["a", 10, 10, [0, 5], False]]), (7, [["a", 10, 10, [0, 2], False]])):
        checkpoint = Checkpoint(SHOP)
        checkpoint.take_row(SALES, store, source(key, {"day": 1, "till": 2, "shop": "a", "cents": cents}))
        for bad in ("x", 1.5):
            with pytest.raises(BadRow, match="bad-value"):
                checkpoint.take_row(SALES, store, source(key, {"day": 1, "till": 2, "shop": "a", "cents": bad}))
        assert expected == entries(checkpoint)
        checkpoint.save()
    assert [b'["a","7"]'] == list(store.content.values())


def test_sums_have_no_limit() -> None:
    """Beyond 64 bits they travel and are kept as text, and are digits again in the record."""
    large, sales, shops = 10**30, DictStore(), DictStore()
    for number in range(3):
        checkpoint, later = Checkpoint(SHOP), Checkpoint(SHOP)
        row = {"day": number, "till": 1, "shop": "a", "cents": large}
        checkpoint.take_row(SALES, sales, source(json.dumps({"day": number, "till": 1}), row))
        checkpoint.take_row(SHOPS, DictStore(), source("a", {"id": "a", "parent": None}))
        for _, pack in checkpoint.pack_changes(1):
            later.take_changes(shops, number, pack)
        (record,) = later.render_records()
        later.save()
        checkpoint.save()
        assert f'{{"id":"a","name":null,"branches":0,"sold":{(number + 1) * large}}}'.encode() == record.value


def test_what_was_not_sent_is_never_left_out_of_a_condition() -> None:
    """Where it no longer fits beside what was sent the row is a dead letter: as null it would be counted as another."""
    store, large = DictStore(), "x" * (MAX_RECORD_BYTES - 100_000)
    checkpoint = Checkpoint(SHOP)
    checkpoint.take_row(SHOPS, store, source("b", {"id": "b", "parent": "a", "state": large}))
    checkpoint.save()
    for row in ({"parent": UNAVAILABLE, "state": "open"}, {"parent": "a", "state": UNAVAILABLE}):
        Checkpoint(SHOP).take_row(SHOPS, store, source("b", {"id": "b", **row}))
    with pytest.raises(BadRow, match="too-large: what is read of the row, with what was not sent"):
        complete_row(("a" * 200_000, UNAVAILABLE), (None, large))


@pytest.mark.parametrize(
    ("key", "row", "said"),
    [
        ("1", None, "the key names no columns, and the row's key is day, till; set the connector's key.converter"),
        ('"1"', None, "the key is JSON, but holds no day, till"),
        ('{"day":1}', None, "the key has day, and not till, which names the row"),
        ('{"day":1,"till":2}', {"day": 1, "shop": "a"}, "the row has no column till"),
        ('{"day":1,"till":2}', {"day": 1, "till": 3, "shop": "a"}, "the key's till is '2', the row says otherwise"),
        ('{"day":1,"till":2}', {"day": 1, "till": 2}, "the row has no column shop"),
        ('{"day":1,"till":2}', {"day": 1, "till": 2, "shop": 1, "cents": {}}, "cents holds an object or an array"),
    ],
)
def test_a_key_of_several_columns_has_all_of_them(key: str, row: object, said: str) -> None:
    """And its row has them, and its owners, as well."""
    with pytest.raises(BadRow, match=re.escape(said)):
        Checkpoint(SHOP).take_row(SALES, DictStore(), source(key, row))
