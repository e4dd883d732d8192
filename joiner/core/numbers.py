"""Reads decimal text as whole units of its last place, and writes it again: nothing is rounded, whatever its size.

Pure, and knows neither rows nor tables.
"""

import re

MAX_DIGITS = 1_000
"""Most digits of a number, places included: as many as PostgreSQL lets a column declare, and few beside a record."""

_NUMBER = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,5}))?")


def parse_units(text: str, scale: int) -> int:
    """Return a number in units of 10^-scale.

    Args:
        text: decimal digits, with a point or an exponent or without.
        scale: how many places it may have; zeros behind them do not count.

    Raises:
        ValueError: it is no number, has more places, or too many digits.
    """
    if text.isascii() and text.isdigit() and len(text) < MAX_DIGITS - scale:
        return int(text) * 10**scale if scale else int(text)
    number = _NUMBER.fullmatch(text)
    sign, whole, places, exponent = number.groups("") if number is not None else ("", "", "", "")
    if not whole and not places:
        raise ValueError("no number")
    digits = (whole + places).lstrip("0")
    shift = int(exponent or 0) - len(places) + scale
    if digits and len(digits) + shift > MAX_DIGITS:
        raise ValueError(f"a number of more than {MAX_DIGITS:,} digits")
    if shift < 0:
        digits, rest = digits[:shift], digits[shift:]
        if rest.strip("0"):
            raise ValueError(f"a number of more than {scale} places")
    elif digits:
        digits += "0" * shift
    return int(sign + (digits or "0"))


def format_units(units: int, scale: int) -> str:
    """Return a number that is given in units of 10^-scale, with that many places."""
    if not scale:
        return str(units)
    digits = str(abs(units)).zfill(scale + 1)
    return f"{'-' if units < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"
