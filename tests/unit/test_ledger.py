"""What a ledger's records say: the latest value under each key counts."""

from joiner.core.compatibility import StateInputs, TopicIdentity
from joiner.kafka.ledger import (
    FORMS_ARE_WHOLE,
    INPUTS,
    REBUILD,
    RESETTING,
    LedgerRecord,
    caught_up_key,
    find_first_inputs,
    find_read_since_rebuild,
    key_form_key,
    parse_notes,
)


def test_notes_are_read_back_as_they_were_written() -> None:
    """Inputs, times and the ends of a rebuild come back as what they were."""
    inputs = StateInputs({"likes": TopicIdentity("x", 3)})
    noted = parse_notes(
        {INPUTS: inputs.encode(), caught_up_key(("likes", 2)): b"1700000000000", REBUILD: b'{"0": 17, "1": 0}'}
    )
    assert (inputs, {("likes", 2): 1_700_000_000_000}, {0: 17, 1: 0}, False) == (
        noted.inputs,
        noted.caught_up_ms,
        noted.rebuild,
        noted.resetting,
    )


def test_the_forms_of_keys_are_read_back() -> None:
    """A topic may have more than one, whatever is in them; an earlier version's ledger has none."""
    form = '{"schema":{"doc":"é \\" ["},"payload":"number"}'
    noted = parse_notes(
        {
            key_form_key("likes", form): b"true",
            key_form_key("likes", "text"): b"true",
            key_form_key("users", "text"): None,
            FORMS_ARE_WHOLE: b"true",
        }
    )
    assert ({"likes": [form, "text"]}, True) == (noted.key_forms, noted.forms_are_whole)
    assert ({}, False) == (parse_notes({}).key_forms, parse_notes({}).forms_are_whole)


def test_forgotten_notes_say_nothing() -> None:
    """A tombstone is as if the note had never been."""
    noted = parse_notes({INPUTS: None, REBUILD: None, RESETTING: None})
    assert (None, None, False) == (noted.inputs, noted.rebuild, noted.resetting)
    assert parse_notes({RESETTING: b"true"}).resetting


def test_what_a_state_is_built_from_is_what_was_noted_first() -> None:
    """Of joiners that begin a state at the same time with different views, one counts; a reset ends that."""
    notes = [LedgerRecord(INPUTS, value, 1) for value in (b"0", None, b"1", b"2", b"1")]
    others = [LedgerRecord(REBUILD, b"{}", 1)]
    assert None is find_first_inputs([])
    assert None is find_first_inputs(notes[:2])
    assert b"1" == find_first_inputs([*others, *notes[:3], *others])
    assert b"1" == find_first_inputs([*notes, *others])


def test_a_partition_counts_for_a_rebuild_once_it_was_read_to_its_end_after_the_begin() -> None:
    """What was noted before the begin, or is the late word of a joiner that was paused before it, ends no rebuild."""
    likes, tweets = caught_up_key(("likes", 0)), caught_up_key(("tweets", 0))
    begun = [LedgerRecord(likes, b"900", 900), LedgerRecord(REBUILD, b'{"0": 17}', 1_000)]
    assert set() == find_read_since_rebuild(begun)
    late = [*begun, LedgerRecord(likes, b"999", 5_000), LedgerRecord(tweets, None, 5_000)]
    assert set() == find_read_since_rebuild(late)
    assert {("likes", 0)} == find_read_since_rebuild(
        [*late, LedgerRecord(likes, b"1000", 5_001), LedgerRecord(likes, b"998", 5_002)]
    )


def test_a_rebuild_begun_again_counts_nothing_of_the_one_before() -> None:
    """Its own begin is what notes are measured by."""
    likes = caught_up_key(("likes", 0))
    notes = [
        LedgerRecord(REBUILD, b'{"0": 17}', 1_000),
        LedgerRecord(likes, b"1500", 1_500),
        LedgerRecord(REBUILD, b'{"0": 17}', 2_000),
    ]
    assert set() == find_read_since_rebuild(notes)
    assert {("likes", 0)} == find_read_since_rebuild([*notes, LedgerRecord(likes, b"2500", 2_500)])
