"""Decimal text -> whole units of its last place, and back."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.core.numbers import MAX_DIGITS, format_units, parse_units


@given(st.integers(-(10**50), 10**50), st.integers(0, 30))
def test_a_number_comes_back_as_it_was_written(units: int, scale: int) -> None:
    """With all of its places, and as exactly that number."""
    text = format_units(units, scale)
    assert units == parse_units(text, scale)
    assert Fraction(units, 10**scale) == Fraction(text)
    assert scale == len(text.partition(".")[2])


@given(st.integers(-(10**20), 10**20), st.integers(-40, 40), st.integers(0, 20))
def test_each_way_to_write_a_number_is_the_same_number(digits: int, exponent: int, scale: int) -> None:
    """An exponent moves the point; only places that are not zero are too many."""
    units = digits * Fraction(10) ** (exponent + scale)
    for text in (f"{digits}e{exponent}", f"{digits}.000E{exponent}", str(Decimal(digits).scaleb(exponent))):
        if units.denominator == 1:
            assert units == parse_units(text, scale)
        else:
            with pytest.raises(ValueError, match="places"):
                parse_units(text, scale)


@pytest.mark.parametrize(
    "text", ["", ".", "-", "1_0", " 1", "1 ", "٣", "NaN", "Infinity", "0x1", "1e", "e1", "1,5", "--1"]
)
def test_other_text_is_no_number(text: str) -> None:
    """Whatever Python itself would take it for."""
    with pytest.raises(ValueError, match="no number"):
        parse_units(text, 2)


@pytest.mark.parametrize(
    ("text", "scale", "units"),
    [("1.5", 2, 150), ("1.500", 1, 15), (".5", 1, 5), ("5.", 0, 5), ("+5", 0, 5), ("-0", 0, 0), ("15e-1", 1, 15)],
)
def test_a_number_counts_in_units_of_its_last_place(text: str, scale: int, units: int) -> None:
    """Zeros behind the places do not count."""
    assert units == parse_units(text, scale)


def test_a_number_has_places_and_digits_within_limits() -> None:
    """A digit more is refused: it would be rounded, or would fill memory."""
    assert 10**MAX_DIGITS - 1 == parse_units("9" * MAX_DIGITS, 0)
    assert 10 ** (MAX_DIGITS - 1) == parse_units("1", MAX_DIGITS - 1)
    for text, scale in (("9" * (MAX_DIGITS + 1), 0), ("10", MAX_DIGITS - 1), ("1e99999", 0)):
        with pytest.raises(ValueError, match="more than 1,000 digits"):
            parse_units(text, scale)
    with pytest.raises(ValueError, match="more than 1 places"):
        parse_units("1.25", 1)
