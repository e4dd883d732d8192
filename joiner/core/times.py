"""Writes days and times as ISO 8601 in UTC, from the numbers that Debezium and Connect encode them as. Pure."""

from datetime import datetime, timedelta

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - all of this is UTC, and is written so


def format_days(days: int) -> str:
    """Return a date, given in days since 1970.

    Raises:
        OverflowError: its year has not four digits.
    """
    return (_EPOCH + timedelta(days=days)).date().isoformat()


def format_timestamp(units: int, decimals: int) -> str:
    """Return a moment with that many decimals, given in units of 10^-decimals s since 1970.

    Raises:
        OverflowError: its year has not four digits.
    """
    seconds, fraction = divmod(units, 10**decimals)
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()}.{fraction:0{decimals}}Z"
