"""Numbers of packs: what stage 1 sends has the next one in each chain, and stage 2 applies nothing else."""

import json

import pytest

from joiner.core.chain import (
    CHAIN_HEADER,
    FOLLOWED_KEY,
    SENT_KEY,
    FollowedChains,
    Life,
    Link,
    decode_followed,
    decode_links,
    encode_links,
)
from joiner.core.checkpoint import Checkpoint
from joiner.core.partition_work import APPLIED_OFFSET_KEY, Store
from joiner.core.records import SourceRecord
from shared.errors import StateError
from tests.support.built_in import LIKES, PLAN, USERS
from tests.support.cluster import DictStore

A_LIKE = b'[["a",1,1,[0,0,0,1],false]]'
WHERE = "user-info-changes[3]@1042"


def send(stores: dict[Store, str], like_id: int, targets: list[int]) -> list[list[Link]]:
    """Return the places of packs to these internal partitions, out of a checkpoint with a row of each store."""
    checkpoint = Checkpoint(PLAN)
    row = json.dumps({"like_id": like_id, "user_id": like_id}).encode()
    for store in stores:
        checkpoint.take_row(LIKES, store, SourceRecord(b"%d" % like_id, row, 1, 1))
    links = [checkpoint.link_pack(target, 3, stores) for target in targets]
    checkpoint.save()
    return links


def apply(store: Store, offset: int, *links: Link) -> None:
    """Apply a pack in a checkpoint of its own."""
    checkpoint = Checkpoint(PLAN)
    checkpoint.take_changes(store, offset, A_LIKE, links, WHERE)
    list(checkpoint.render_records())
    checkpoint.save()


def likes(store: Store) -> int:
    """Return how many likes are counted for the user."""
    stored = store.get(b"a")
    return 0 if stored is None else int(json.loads(stored)[1][3])


def test_a_pack_has_the_next_number_of_each_source_partition_whose_rows_were_read() -> None:
    """Each internal partition is counted by itself, and so is each source partition."""
    first, second = DictStore(), DictStore()
    assert [[Link("likes/0", 1)], [Link("likes/0", 2)], [Link("likes/0", 1)]] == send({first: "likes/0"}, 1, [0, 0, 2])
    assert [[Link("likes/0", 3), Link("likes/1", 1)]] == send({first: "likes/0", second: "likes/1"}, 2, [0])
    assert (b"[3,0,1]", b"[1,0,0]") == (first.content[SENT_KEY], second.content[SENT_KEY])


def test_numbers_are_stored_behind_the_rows_and_only_where_a_pack_was_sent() -> None:
    """Where the number is stored, so are the rows, since a changelog keeps its order."""
    store = DictStore()
    send({store: "likes/0"}, 1, [])
    assert [b"1"] == list(store.content)
    send({store: "likes/0"}, 2, [1])
    assert [b"1", b"2", SENT_KEY] == list(store.content)


def test_rows_of_which_no_state_is_kept_are_numbered_by_the_joiners_life() -> None:
    """Profiles that are passed on have no store; what is lost of them would be lost for good."""
    checkpoint = Checkpoint(PLAN)
    checkpoint.take_row(USERS, None, SourceRecord(b"a", b'{"user_id": "a"}', 1, 1))
    assert [] == checkpoint.link_pack(0, 3, {})
    life = Life("joiner-0", "x")
    assert [Link("/joiner-0", 1, "x"), Link("/joiner-0", 2, "x"), Link("/joiner-0", 1, "x")] == [
        life.count_pack(target) for target in (0, 0, 1)
    ]


def test_places_travel_in_a_header() -> None:
    """Earlier versions take no notice of it, and send none."""
    links = [Link("likes/0", 7), Link("/joiner-0", 3, "x")]
    assert links == decode_links([("other", b"1"), (CHAIN_HEADER, encode_links(links))])
    assert ([], [], []) == (decode_links(None), decode_links([]), decode_links([(CHAIN_HEADER, None)]))


def test_packs_in_order_are_counted() -> None:
    """Checkpoint after checkpoint, chains side by side, and in a new life of the joiner."""
    store = DictStore()
    apply(store, 0, Link("likes/0", 1), Link("/joiner-0", 1, "x"))
    apply(store, 1, Link("likes/0", 2), Link("likes/1", 1), Link("/joiner-0", 2, "x"))
    apply(store, 2, Link("likes/1", 2), Link("/joiner-0", 1, "y"))
    assert 3 == likes(store)
    assert [FOLLOWED_KEY, b"a", APPLIED_OFFSET_KEY] == list(store.content)


@pytest.mark.parametrize(
    ("links", "said"),
    [
        ([Link("likes/0", 2)], "is pack 2 of likes/0 once more, after pack 2: its changes would count twice"),
        ([Link("likes/0", 1)], "is pack 1 of likes/0 once more, after pack 2: its changes would count twice"),
        ([Link("likes/0", 4)], "is pack 4 of likes/0, and pack 3 is missing: its changes would be lost"),
        ([Link("likes/1", 2)], "is pack 2 of likes/1, and pack 1 is missing: its changes would be lost"),
        ([Link("likes/0", 3), Link("/joiner-0", 2, "x")], "is pack 2 of joiner-0 once more, after pack 2"),
        ([Link("likes/0", 3), Link("/joiner-0", 2, "y")], "is pack 2 of joiner-0, and pack 1 is missing"),
    ],
)
def test_a_pack_that_comes_again_or_is_missing_ends_the_joiner(links: list[Link], said: str) -> None:
    """It says which, and the way back; nothing is counted."""
    store = DictStore()
    for number in (1, 2):
        apply(store, number, Link("likes/0", number), Link("/joiner-0", number, "x"))
    before = dict(store.content)
    with pytest.raises(StateError) as refused:
        apply(store, 3, *links)
    assert refused.value.what.startswith(f"{WHERE} {said}")
    assert "python -m joiner reset" in refused.value.hint
    assert before == store.content


def test_what_is_read_again_after_lost_offsets_is_skipped_without_a_word() -> None:
    """The offset up to which changes are applied says so, before any number is looked at."""
    store = DictStore()
    for _ in range(2):
        apply(store, 0, Link("likes/0", 1))
        apply(store, 1, Link("likes/0", 2))
    apply(store, 2, Link("likes/0", 3))
    assert 3 == likes(store)


def test_a_state_of_an_earlier_version_goes_on() -> None:
    """Packs without numbers are applied; of each chain the first number is taken as it is, and the next is compared."""
    store = DictStore()
    store.content = {b"a": b"[null,[0,0,0,5],1,null]", APPLIED_OFFSET_KEY: b"7"}
    apply(store, 7)
    apply(store, 8, Link("likes/0", 40))
    apply(store, 9)
    apply(store, 10, Link("likes/0", 41), Link("likes/1", 12))
    assert 9 == likes(store)
    with pytest.raises(StateError, match="pack 13 is missing"):
        apply(store, 11, Link("likes/1", 14))


def test_an_earlier_version_may_have_a_partition_in_between() -> None:
    """During an upgrade it applies numbered packs and notes none of them."""
    store = DictStore()
    apply(store, 0, Link("likes/0", 1))
    store.content[APPLIED_OFFSET_KEY] = b"5"
    apply(store, 5, Link("likes/0", 6))
    with pytest.raises(StateError, match="pack 7 is missing"):
        apply(store, 6, Link("likes/0", 8))


@pytest.mark.parametrize("applied", [None, b"4"])
def test_states_of_which_only_a_part_was_kept_are_refused(applied: bytes | None) -> None:
    """The first and the last write of a checkpoint do not agree: some of its users would be counted again."""
    store = DictStore()
    store.content[FOLLOWED_KEY] = FollowedChains({"likes/0": ("", 3)}).encode(5)
    if applied is not None:
        store.content[APPLIED_OFFSET_KEY] = applied
    with pytest.raises(StateError, match=r"holds a part of the changes before offset 5, and not all") as refused:
        apply(store, 4, Link("likes/0", 3))
    assert "python -m joiner reset" in refused.value.hint


def test_a_new_partition_begins_with_number_one() -> None:
    """A state that begins now has every pack from the first on."""
    chains = decode_followed(None, None, WHERE)
    with pytest.raises(StateError, match="pack 1 is missing"):
        chains.follow([Link("likes/0", 2)], WHERE)
