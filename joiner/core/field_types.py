"""Reads a column as the type that a view gives its field: the text that the record shows, or for `json` the JSON.

What the source's own encoding says and what a schema beside the row has decoded already end in the same text. What does
not fit its type is refused. Pure, and knows no tables.
"""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import orjson

from joiner.core.numbers import format_units, parse_units
from joiner.core.times import format_days, format_timestamp
from joiner.core.values import (
    SENDING_DECIMALS,
    EncodedBytes,
    Literal,
    NeedsLiteralsError,
    NotJson,
    explain,
    refuse_unreadable,
    to_text,
)
from shared.errors import BadRow
from shared.unavailable import UNAVAILABLE, Placeholder
from shared.view.model import Field, FieldType

DECIMALS: Mapping[FieldType, int] = {"timestamp-millis": 3, "timestamp-micros": 6, "timestamp-nanos": 9}
"""Type -> how many decimals its seconds have."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})"
)

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def read_field(field: Field, value: object, placeholder: Placeholder) -> str | None:
    """Return a field's text, or for `json` its JSON; UNAVAILABLE where the source left the value out.

    Args:
        field: which.
        value: what the row holds in its column.
        placeholder: what stands for a value that was left out.

    Raises:
        BadRow: the value does not fit the field's type.
        NeedsLiteralsError: the digits are needed.
    """
    if value is None:
        return None
    if (type(value) is str and value in placeholder.texts) or placeholder.matches(value):
        return UNAVAILABLE
    if field.type == "text":
        return to_text(value, field.column)
    if isinstance(value, float):
        raise NeedsLiteralsError
    refuse_unreadable(value, field.column)
    if field.type == "json":
        return _dump(value, field.column)
    try:
        return _READERS[field.type](value, field)
    except (ValueError, OverflowError) as error:
        detail = f"the column {field.column} is no {field.type}: {error!s:.200}{explain(value)}"
        raise BadRow("bad-value", detail) from None


def _dump(value: object, column: str) -> str:
    """Return a value as compact JSON, its numbers digit for digit."""
    try:
        return orjson.dumps(_keep_digits(value, column)).decode()
    except (TypeError, RecursionError):
        detail = f"the column {column} cannot be passed on: it is nested too deep, or holds text that is not UTF-8"
        raise BadRow("bad-value", detail) from None


def _keep_digits(value: Any, column: str) -> Any:  # noqa: ANN401 - JSON may be anything
    """Return a value with its numbers as they were written."""
    if type(value) is float:
        raise NeedsLiteralsError
    if isinstance(value, Literal):
        return orjson.Fragment(str(value))
    if isinstance(value, NotJson):
        refuse_unreadable(value, column)
    if isinstance(value, dict):
        return {name: _keep_digits(each, column) for name, each in value.items()}
    if isinstance(value, list):
        return [_keep_digits(each, column) for each in value]
    return value


def _read_date(value: object, _: Field) -> str:
    """Return ISO 8601, from days since 1970 or from such text."""
    days = _to_integer(value)
    if days is not None:
        return format_days(days)
    if not isinstance(value, str) or _DATE.fullmatch(value) is None:
        raise ValueError("neither days since 1970 nor text such as 2024-02-29")
    return date.fromisoformat(value).isoformat()


def _read_timestamp(value: object, field: Field) -> str:
    """Return ISO 8601 in UTC, from units since 1970 or from such text with its zone."""
    decimals = DECIMALS[field.type]
    units = _to_integer(value)
    if units is not None:
        return format_timestamp(units, decimals)
    found = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("neither a number since 1970 nor text such as 2024-02-29T12:30:00Z")
    second, fraction, zone = found.groups("")
    if len(fraction.rstrip("0")) > decimals:
        raise ValueError(f"it has more than {decimals} decimals")
    moment = datetime.fromisoformat(second + zone).astimezone(UTC)
    return f"{moment.replace(tzinfo=None).isoformat()}.{fraction[:decimals].ljust(decimals, '0')}Z"


def _to_integer(value: object) -> int | None:
    """Return an integer, however the document was read; None where the value is none."""
    if isinstance(value, Literal):
        return parse_units(value, 0)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _read_decimal(value: object, field: Field) -> str:
    """Return a number with the field's places, from a number, from such text, or from Debezium's bytes in base64.

    Without a point, digits may be either; and where a decimal has no places, they always are text.
    """
    if isinstance(value, bool | EncodedBytes) or not isinstance(value, int | str):
        raise ValueError("no number")
    text = str(value)
    is_coded = type(value) is str and text not in ("", "Infinity") and _BASE64.fullmatch(text) is not None
    try:
        units = parse_units(text, field.scale)
    except ValueError as error:
        if not is_coded:
            raise
        if not field.scale:
            raise ValueError(f"{error}; without places bytes look like digits: {SENDING_DECIMALS}") from None
        units = int.from_bytes(base64.b64decode(text, validate=True), "big", signed=True)
        return format_units(parse_units(str(units), 0), field.scale)
    if is_coded and field.scale:
        hint = f"{SENDING_DECIMALS}; text has a point where the column declares places, as numeric(12, 2) does"
        raise ValueError(f"{text:.20} may be digits or bytes in base64: {hint}")
    return format_units(units, field.scale)


_READERS: Mapping[FieldType, Callable[[object, Field], str]] = {
    "date": _read_date,
    "timestamp-millis": _read_timestamp,
    "timestamp-micros": _read_timestamp,
    "timestamp-nanos": _read_timestamp,
    "decimal": _read_decimal,
}
