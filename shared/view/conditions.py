"""Reads `where`: what the columns of a row must be for the row to be aggregated."""

from collections.abc import Iterator

from shared.view.model import Condition
from shared.view.names import check_column
from shared.view.section import Section, describe, suggest

FORMS = ("null", "not")


def parse_conditions(where: Section) -> tuple[Condition, ...]:
    """Return the conditions, all of which must hold.

    Args:
        where: column -> a value, a list of values, ``{ null = … }`` or ``{ not = … }``.

    Raises:
        ViewError: a column is compared with what no value can be compared with.
    """
    if not where.content:
        raise where.refuse("", "names no column", "leave where out, so that every row is taken")
    return tuple(_parse_condition(where, column) for column in where.content)


def _parse_condition(where: Section, column: str) -> Condition:
    check_column(where, column, column)
    value = where.content[column]
    if not isinstance(value, dict):
        return Condition(column, frozenset(_read_texts(where, column)))
    form = where.open(column, "null = true")
    if len(form.content) != 1:
        raise where.refuse(column, f"has {len(form.content)} keys", "write either { null = true } or { not = … }")
    if "null" in form.content:
        if not isinstance(form.content["null"], bool):
            raise form.refuse("null", f"is {describe(form.content['null'])}", "write true or false")
        is_null = form.content["null"]
        return Condition(column, frozenset(), negated=not is_null, accepts_null=is_null)
    if "not" not in form.content:
        (word,) = form.content
        raise form.refuse(word, "is not known", f"{suggest(word, FORMS)}; other comparisons are not to be had")
    return Condition(column, frozenset(_read_texts(form, "not")), negated=True, accepts_null=True)


def _read_texts(section: Section, key: str) -> Iterator[str]:
    """Yield the values behind a key, one or a list, as JSON texts."""
    value = section.content[key]
    values = value if isinstance(value, list) else [value]
    if not values:
        raise section.refuse(key, "is an empty list", "name at least one value")
    for each in values:
        yield _to_text(section, key, each)


def _to_text(section: Section, key: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        if "\0" in value:
            raise section.refuse(key, "holds the character U+0000", "remove it; no text of PostgreSQL holds it")
        return value
    if isinstance(value, float):
        hint = 'write its digits as text, as the row has them, such as "1.50"'
        raise section.refuse(key, "is or holds a fraction, which has several texts", hint)
    if isinstance(value, dict):
        hint = "write { null = true } in place of the list, or { not = [ … ] } with the other values"
        if not isinstance(section.content[key], list):
            hint = "write { null = false } for what is not null"
        raise section.refuse(key, "holds a table where a value belongs", hint)
    hint = "write text, an integer or a boolean, or a list of these; a date as text, as the row has it"
    raise section.refuse(key, f"is or holds {describe(value)}", hint)
