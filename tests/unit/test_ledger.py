"""What a ledger's records say: the latest value under each key counts."""

from dataclasses import replace

from joiner.core.build import ENDS, Build
from joiner.core.compatibility import StateInputs, TopicIdentity
from joiner.kafka.ledger import (
    BUILD,
    FORMS_ARE_WHOLE,
    INPUTS,
    REBUILD,
    RESETTING,
    LedgerRecord,
    caught_up_key,
    find_first_inputs,
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
    notes = [LedgerRecord(INPUTS, value) for value in (b"0", None, b"1", b"2", b"1")]
    others = [LedgerRecord(REBUILD, b"{}")]
    assert None is find_first_inputs([])
    assert None is find_first_inputs(notes[:2])
    assert b"1" == find_first_inputs([*others, *notes[:3], *others])
    assert b"1" == find_first_inputs([*notes, *others])


def test_a_build_is_read_back() -> None:
    """With the ends up to which the sources must be joined, once they are known."""
    begun = Build("x", whole=True, user_info_ends={0: 17, 1: 0})
    assert begun == parse_notes({BUILD: begun.encode()}).build
    known = replace(begun, rule=ENDS, ends={("likes", 0): 3, ("likes", 1): 0})
    assert known == parse_notes({BUILD: known.encode()}).build
    assert parse_notes({}).build is None
