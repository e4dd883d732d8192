"""Reads out of a row what is kept of it: its owners, what else aggregates read, and the fields of its profile.

Knows nothing of encodings, and nothing of what the values do to a record. Pure.
"""

from typing import Any, TypeAlias

import orjson

from joiner.core.field_types import read_field
from joiner.core.plan import Table
from joiner.core.values import parse_id, to_text
from shared.errors import BadRow
from shared.topics import MAX_RECORD_BYTES
from shared.unavailable import UNAVAILABLE, Placeholder

Values: TypeAlias = tuple[str | None, ...]
"""What is taken of a row: its owners and what else aggregates read, or the fields of its profile."""

ENVELOPE_BYTES = 64 * 1024
"""Room that a record needs besides its profile: key, aggregates, field names, framing."""


def read_owners(table: Table, row: dict[str, Any]) -> Values:
    """Return the owners of a row, in the table's order.

    Raises:
        BadRow: a column is missing, or holds no id.
        NeedsLiteralsError: the digits are needed.
    """
    owners: list[str | None] = []
    for column in table.owners:
        if column not in row:
            raise BadRow("missing-column", f"the row has no column {column}")
        owner = row[column]
        if type(owner) is int:
            owners.append(str(owner))
        elif owner is None:
            owners.append(None)
        elif type(owner) is str and owner in table.placeholder.texts:
            owners.append(UNAVAILABLE)
        else:
            owners.append(parse_id(owner, column))
    return tuple(owners)


def read_values(table: Table, row: dict[str, Any]) -> Values:
    """Return what is kept of a row, and behind it, if it is a user's, the profile.

    Raises:
        BadRow: a column is missing, does not fit its use, or is too large.
        NeedsLiteralsError: the digits are needed.
    """
    kept: Values = ()
    if table.columns:
        kept = (*read_owners(table, row), *_read_texts(table.others, row, table.placeholder))
        if not fits(kept):
            raise BadRow("too-large", f"what is read of the row does not fit into a record of {MAX_RECORD_BYTES} bytes")
    return kept if table.fields is None else kept + _read_profile(table, row)


def _read_profile(table: Table, row: dict[str, Any]) -> Values:
    if table.has_texts:
        profile = _read_texts(table.field_columns, row, table.placeholder)
    else:
        profile = tuple([read_field(field, row.get(field.column), table.placeholder) for field in table.fields or ()])
    if not fits(profile):
        raise BadRow("too-large", f"the profile does not fit into a record of {MAX_RECORD_BYTES} bytes")
    return profile


def _read_texts(columns: tuple[str, ...], row: dict[str, Any], placeholder: Placeholder) -> Values:
    try:
        texts = tuple([to_text(row.get(column), column) for column in columns])
    except BadRow:
        texts = tuple(
            [
                UNAVAILABLE if placeholder.matches(value) else to_text(value, column)
                for column, value in ((column, row.get(column)) for column in columns)
            ]
        )
    if not placeholder.texts.isdisjoint(texts):
        texts = tuple([UNAVAILABLE if text in placeholder.texts else text for text in texts])
    return texts


def fits(values: Values) -> bool:
    """Return whether a profile, or what is kept of a row, fits into a record."""
    room = MAX_RECORD_BYTES - ENVELOPE_BYTES
    # A character takes at most six bytes, as an escape, so few must be rendered to be measured.
    return sum([len(text) for text in values if text]) * 6 <= room or len(orjson.dumps(values)) <= room


def complete(values: Values, known: Values | None) -> Values:
    """Put the last known value where the source left one out, and null if none is known.

    Args:
        values: any may be UNAVAILABLE.
        known: the same row's values before, if it had any.
    """
    return tuple(
        ((known[index] if known is not None else None) if value == UNAVAILABLE else value)
        for index, value in enumerate(values)
    )


def complete_row(row: Values, known: Values | None) -> Values:
    """Return a row with the last known values in place of those that were not sent.

    Raises:
        BadRow: they do not fit together; without one of them the row would be counted as what it is not.
    """
    whole = complete(row, known)
    if whole != row and not fits(whole):
        raise BadRow("too-large", "what is read of the row, with what was not sent, does not fit into a record")
    return whole
