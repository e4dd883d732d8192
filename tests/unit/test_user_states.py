"""What a row's change does to counts and records, in single steps."""

import orjson
import pytest

from joiner.core.columns import Values
from joiner.core.users import (
    EMPTY_STATE,
    UNCHANGED,
    Changes,
    UserChange,
    UserState,
    apply_change,
    decode_state,
    differs,
    encode_state,
    mark_shown,
    parse_entry,
    render_record,
    resolve_unavailable,
)
from shared.topics import MAX_RECORD_BYTES
from shared.unavailable import UNAVAILABLE
from tests.support.built_in import PLAN

TWEET_COUNT, FOLLOWING_COUNT, FOLLOWER_COUNT, LIKE_COUNT = range(4)
ALICE = ("alice", "Alice 爱丽丝", *[None] * 6)


def test_an_unavailable_value_is_the_last_known_one() -> None:
    """Where none is known the field is null."""
    assert ("x", "known") == resolve_unavailable(("x", UNAVAILABLE), ("old", "known"))
    assert ("x", None) == resolve_unavailable(("x", UNAVAILABLE), None)
    assert ("x", UNAVAILABLE) == resolve_unavailable(("x", UNAVAILABLE), ("old", UNAVAILABLE))


def test_an_omitted_value_becomes_null_where_both_do_not_fit() -> None:
    """No row, however large, can make a record that Kafka refuses, which would stop the join for everybody."""
    large = "x" * (MAX_RECORD_BYTES - 100_000)
    assert (large, None) == resolve_unavailable((large, UNAVAILABLE), ("old", large))


def test_changes_of_one_user_are_summed() -> None:
    """A checkpoint holds one entry per user: differences added, the last profile, the newest and oldest time."""
    changes = Changes(4)
    for source_ms, difference in ((20, 1), (10, 1), (30, -1)):
        changes.add("a", LIKE_COUNT, difference, source_ms)
    changes.set_profile("a", ("old",), 15)
    changes.set_profile("a", ALICE, 16)
    assert {"a": UserChange([0, 0, 0, 1], ALICE, 30, 10)} == changes


def test_a_deletion_and_what_follows_it_in_one_checkpoint_are_kept_in_order() -> None:
    """A user who goes and comes back knows nothing of the earlier profile."""
    changes = Changes(4)
    changes.set_profile("a", ("known",), 1)
    changes.set_profile("a", None, 2)
    changes.set_profile("a", (UNAVAILABLE,), 3)
    assert (None,) == changes["a"].profile


@pytest.mark.parametrize(
    ("change", "nothing"),
    [
        (UserChange([0, 0, 0, 0], UNCHANGED, 1, 1), True),
        (UserChange([0, 1, 0, 0], UNCHANGED, 1, 1), False),
        (UserChange([1, -1, 0, 0], UNCHANGED, 1, 1), False),
        (UserChange([0, 0, 0, 0], None, 1, 1), False),
        (UserChange([0, 0, 0, 0], ALICE, 1, 1), False),
    ],
)
def test_changes_that_cancel_out_are_nothing(change: UserChange, nothing: bool) -> None:
    """What went up and down again need not travel; a deleted profile must."""
    assert nothing == change.is_empty


@pytest.mark.parametrize("profile", [UNCHANGED, None, ALICE])
def test_an_entry_comes_back_as_it_was_written(profile: Values | None) -> None:
    """What travels in the internal topic keeps the difference between no profile and no change of it."""
    change = UserChange([0, 1, -2, 3], profile, 20, 10)
    assert ("a", change) == parse_entry(orjson.loads(change.encode("a")))


def test_counts_wait_for_their_user_and_outlive_it() -> None:
    """No record without a profile; once it is there the record shows all that waited, and its oldest time."""
    waiting = apply_change(EMPTY_STATE, UserChange([0, 0, 2, 0], UNCHANGED, 20, 10))
    assert (None, False) == (render_record(PLAN, "a", waiting), differs(EMPTY_STATE, waiting))
    arrived = apply_change(waiting, UserChange([0, 0, 0, 0], ALICE, 15, 15))
    assert UserState(ALICE, (0, 0, 2, 0), newest_ms=20, waiting_ms=10) == arrived
    assert differs(waiting, arrived)
    gone = apply_change(mark_shown(arrived), UserChange([0, 0, 0, 0], None, 30, 30))
    assert UserState(None, (0, 0, 2, 0), newest_ms=30, waiting_ms=30) == gone
    assert (None, True) == (render_record(PLAN, "a", gone), differs(arrived, gone))
    assert not gone.is_empty


def test_a_state_without_profile_and_counts_need_not_be_kept() -> None:
    """Times alone are nothing to remember."""
    assert UserState(None, (0, 0, 0, 0), 5, 5).is_empty
    assert not UserState(ALICE).is_empty
    assert not UserState(None, (0, 0, 0, 1)).is_empty


@pytest.mark.parametrize(
    "state", [EMPTY_STATE, UserState(ALICE, (1, 2, 3, 4), 5, None), UserState(None, (0, 0, 0, 9), 5, 4)]
)
def test_a_state_comes_back_as_it_was_stored(state: UserState) -> None:
    """And begins with no byte that the engine would take for a time stamp."""
    assert state == decode_state(encode_state(state))
    assert encode_state(state).startswith(b"[")


def test_a_record_holds_every_key_in_the_documented_order() -> None:
    """These bytes are what a client gets."""
    assert (
        '{"userId":"1","username":"alice","name":"Alice 爱丽丝","description":null,"location":null,"webPageUrl":null,'
        '"joinedDate":null,"profileImageUrl":null,"backgroundImageUrl":null,'
        '"tweetCount":1,"followingCount":2,"followerCount":3,"likeCount":4}'
    ).encode() == render_record(PLAN, "1", UserState(ALICE, (1, 2, 3, 4)))
