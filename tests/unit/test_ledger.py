"""What a ledger's records say: the latest value under each key counts."""

from joiner.inputs import Identity, Inputs
from joiner.ledger import INPUTS, REBUILD, RESETTING, caught_up_key, noted_in


def test_notes_are_read_back_as_they_were_written() -> None:
    """Inputs, times and the ends of a rebuild come back as what they were."""
    inputs = Inputs({"likes": Identity("x", 3)})
    noted = noted_in(
        {INPUTS: inputs.encoded(), caught_up_key(("likes", 2)): b"1700000000000", REBUILD: b'{"0": 17, "1": 0}'}
    )
    assert (inputs, {("likes", 2): 1_700_000_000_000}, {0: 17, 1: 0}, False) == (
        noted.inputs,
        noted.caught_up_ms,
        noted.rebuild,
        noted.resetting,
    )


def test_forgotten_notes_say_nothing() -> None:
    """A tombstone is as if the note had never been."""
    noted = noted_in({INPUTS: None, REBUILD: None, RESETTING: None})
    assert (None, None, False) == (noted.inputs, noted.rebuild, noted.resetting)
    assert noted_in({RESETTING: b"true"}).resetting
