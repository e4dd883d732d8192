"""Which dead letters are written again: none that cannot be read, none that is older than what its topic holds."""

import math

import pytest

from joiner.dead_letters.letter import DeadLetter, UnreadableRecord, parse_dead_letter, parse_edited, to_message
from joiner.dead_letters.replay_policy import (
    Decision,
    NewestRecord,
    check_forgotten,
    check_superseded,
    decide_all,
    read_retention_ms,
)
from shared.errors import BadRow
from tests.support.built_in import LIKES

TABLES = {"likes": LIKES}
GOOD = b'{"like_id": 7, "user_id": 1}'


def letter(offset: int = 5, value: bytes | None = GOOD, key: bytes | None = b"7", topic: str = "likes") -> DeadLetter:
    """Return a dead letter out of partition 2, of the time 1,000."""
    return DeadLetter(UnreadableRecord(topic, 2, offset, key, value, 1_000), "bad-json", "why")


def outcomes(*letters: DeadLetter) -> list[str]:
    """Return what is decided without looking at the topic."""
    return [decision.outcome for decision in decide_all(letters, TABLES, {})]


def test_a_letter_that_can_be_read_now_is_replayed() -> None:
    """It goes to the partition that its key has led to before."""
    assert [Decision(letter(), "replay", "7", partition=2)] == decide_all([letter()], TABLES, {})


def test_a_letter_that_still_cannot_be_read_stays() -> None:
    """Bad rows, letters of other topics and letters that were cut are left out, each with its reason."""
    cut = DeadLetter(letter().record, "too-large", "", whole=False)
    assert ["still unreadable", "not of a source topic", "cut"] == outcomes(letter(value=b"{"), letter(topic="x"), cut)


def test_a_letter_under_a_key_of_another_form_is_not_written() -> None:
    """It would end the joiners; that of the topic is what they have noted, or else the first letter's."""
    plain, other = letter(), letter(key=b'{"like_id":8}', value=b'{"like_id": 8, "user_id": 1}')
    assert ["replay", "another form of key"] == outcomes(plain, other)
    noted = {"likes": ['{"like_id":"number"}']}
    refused, replayed = decide_all([plain, other], TABLES, noted)
    assert "than like_id number (JSON), which the topic's keys have: an id (plain text)" == refused.detail
    assert ("another form of key", "replay") == (refused.outcome, replayed.outcome)


def test_of_two_letters_about_one_row_the_newer_is_written() -> None:
    """They would otherwise be written in an order of their own."""
    assert ["superseded", "replay"] == outcomes(letter(5), letter(6))


def test_a_letter_behind_which_the_row_was_deleted_under_an_unreadable_key_is_not_written() -> None:
    """The deletion is a dead letter, too; a person who mends the row's key alone must not bring the row back."""
    unreadable = b'{"id":7}'
    row, deletion = letter(5, key=unreadable), letter(6, value=None, key=unreadable)
    mended = parse_edited({**row.to_json(), "key": "7"}, row)
    assert ["superseded", "still unreadable"] == outcomes(mended, deletion)
    assert ["replay", "still unreadable"] == outcomes(mended, letter(4, value=None, key=unreadable))
    assert ["replay", "still unreadable"] == outcomes(mended, letter(6, value=None, key=b"[7]"))
    assert (unreadable, unreadable) == (mended.source_key, row.source_key)


def test_letters_of_one_unreadable_key_are_the_rows_that_their_edited_keys_name() -> None:
    """A writer that gives all rows one key is mended row by row; only the newest letter of one row is written."""
    unreadable = b'{"id":7}'
    letters = [letter(offset, key=unreadable) for offset in (5, 6)]
    first, second = (parse_edited({**each.to_json(), "key": "7"}, each) for each in letters)
    other = parse_edited({**letters[1].to_json(), "key": "8", "value": None}, letters[1])
    assert ["superseded", "replay"] == outcomes(first, second)
    assert ["replay", "replay"] == outcomes(first, other)


def test_a_newer_record_of_the_row_is_kept() -> None:
    """Newer is what comes behind in the same partition, or later in another one."""
    decision = Decision(letter(5), "replay", "7", partition=2)
    assert "superseded" == check_superseded(decision, {"7": [NewestRecord(2, 6, 900)]}).outcome
    assert "superseded" == check_superseded(decision, {"7": [NewestRecord(0, 1, 1_000)]}).outcome
    assert "replay" == check_superseded(decision, {"7": [NewestRecord(2, 4, 2_000)]}).outcome
    assert "replay" == check_superseded(decision, {"8": [NewestRecord(2, 6, 900)]}).outcome


def test_within_a_partition_the_offset_decides_and_between_partitions_the_time() -> None:
    """A record whose time is older than the letter's is newer all the same where it lies behind it."""
    decision = Decision(letter(5), "replay", "7", partition=2)
    assert "superseded" == check_superseded(decision, {"7": [NewestRecord(0, 1, 900), NewestRecord(2, 6, 10)]}).outcome
    assert "replay" == check_superseded(decision, {"7": [NewestRecord(0, 9, 900), NewestRecord(2, 4, 2_000)]}).outcome
    assert (
        "superseded"
        == check_superseded(decision, {"7": [NewestRecord(2, 4, 2_000), NewestRecord(0, 1, 1_500)]}).outcome
    )


def test_a_letter_from_before_what_its_topic_remembers_is_not_written() -> None:
    """Its row may have been deleted and the deletion forgotten; unless the letter outlived what forgets it."""
    decision = Decision(letter(5), "replay", "7", partition=2)
    old = check_forgotten(decision, set(), now_ms=4_001, remembers_ms=3_000)
    assert ("too old to know", "it is 3 s old, and the topic may have forgotten deletions after 3 s") == (
        old.outcome,
        old.detail,
    )
    assert decision == check_forgotten(decision, set(), now_ms=4_000, remembers_ms=3_000)
    assert decision == check_forgotten(decision, {"7"}, now_ms=4_001, remembers_ms=3_000)
    assert decision == check_forgotten(decision, set(), now_ms=4_001, remembers_ms=math.inf)
    done = decision._replace(outcome="superseded")
    assert done == check_forgotten(done, set(), now_ms=4_001, remembers_ms=3_000)


@pytest.mark.parametrize(
    ("policy", "deletions", "time", "size", "remembered"),
    [
        ("compact", "100", "9", "9", 100),
        ("delete", "100", "9", "-1", 9),
        ("delete", "100", "-1", "-1", math.inf),
        ("delete", "100", "-1", "9", 0),
        ("compact,delete", "100", "900", "-1", 100),
        ("compact,delete", "100", "9", "-1", 9),
    ],
)
def test_what_a_topic_remembers_is_what_its_policy_says(
    policy: str, deletions: str, time: str, size: str, remembered: float
) -> None:
    """The shortest of all that may delete a record; a limit of size promises no time at all."""
    config = {
        "cleanup.policy": policy,
        "delete.retention.ms": deletions,
        "retention.ms": time,
        "retention.bytes": size,
    }
    assert remembered == read_retention_ms(config)


def test_a_row_goes_where_its_other_records_are() -> None:
    """A fixed key may belong to another partition than the broken one."""
    decision = Decision(letter(5), "replay", "7", partition=None)
    assert 0 == check_superseded(decision, {"7": [NewestRecord(0, 1, 900)]}).partition
    assert check_superseded(decision, {}).partition is None


def test_a_letter_is_read_as_it_was_written() -> None:
    """Headers say why and from where; key and value are the bytes received."""
    first = UnreadableRecord("likes", 2, 5, b"\xff", b"\xfe", 1_000)
    key, value, headers = to_message(first, BadRow("bad-key", "the key is not UTF-8"))
    assert DeadLetter(first, "bad-key", "the key is not UTF-8") == parse_dead_letter(key, value, dict(headers))


def test_a_letter_survives_its_way_through_a_file() -> None:
    """Bytes that are no text are kept in Base64; a changed key is noticed."""
    original = DeadLetter(UnreadableRecord("likes", 2, 5, b"\xff", None, 1_000), "bad-key", "")
    assert original == parse_edited(original.to_json(), original)
    changed = parse_edited({**original.to_json(), "keyBase64": None, "key": "7"}, original)
    assert (b"7", True) == (changed.record.key, changed.edited_key)


def test_a_letter_beyond_the_limit_is_cut_and_says_so() -> None:
    """It still fits into its topic, and is never mistaken for the whole."""
    key, value, headers = to_message(
        UnreadableRecord("likes", 2, 5, b"7", b"x" * 5_000_000, 1_000), BadRow("too-large", "")
    )
    assert len(key or b"") + len(value or b"") <= 4 * 1024 * 1024
    assert not parse_dead_letter(key, value, dict(headers)).whole


@pytest.mark.parametrize(("key_size", "value_size"), [(1, 5_000), (5_000, 1), (3_000, 3_000), (1, 4_001)])
def test_a_letter_is_cut_to_the_room_in_its_topic(key_size: int, value_size: int) -> None:
    """Whatever of key and value is large, both together fit."""
    record = UnreadableRecord("likes", 2, 5, b"k" * key_size, b"x" * value_size, 1_000)
    key, value, headers = to_message(record, BadRow("bad-json", ""), 4_000)
    assert len(key or b"") + len(value or b"") <= 4_000
    assert str(value_size).encode() == dict(headers)["cut-from-bytes"]
    assert [] == [name for name, _ in to_message(record, BadRow("bad-json", ""))[2] if "cut" in name]
