"""Reads a view from its file, whose grammar is in docs/view.md.

Guarantees: whatever is wrong is refused with file, section and key, and with what to write instead. Knows no topic's
content and no table's columns.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from shared.errors import ViewError
from shared.view.conditions import parse_conditions
from shared.view.linear import explain_refusal
from shared.view.model import FIELD_TYPES, Aggregate, Field, Source, View, default_key, topic_variable
from shared.view.names import check_column, check_key, check_table, check_topic
from shared.view.section import Section, describe, suggest
from shared.view.syntax import load_document

SECTIONS = ("record", "fields", "counts", "sums", "tables")

MAX_SCALE = 1_000
"""What PostgreSQL lets a column declare."""


def read_view(path: Path) -> View:
    """Return the view that a file declares.

    Args:
        path: of the file.

    Raises:
        ViewError: it cannot be read, or declares no view that can be joined.
    """
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        hint = "correct USER_INFO_VIEW, or the file's rights; without the variable the built-in view is joined"
        raise ViewError(f"{path}: cannot be read: {error.strerror}", hint) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ViewError(f"{path}, line {line}: is not UTF-8", "save the file as UTF-8") from None
    return parse_view(text, str(path))


def parse_view(text: str, name: str = "view.toml") -> View:
    """Return the view that a text declares.

    Args:
        text: TOML.
        name: what messages call the text.

    Raises:
        ViewError: it declares no view that can be joined.
    """
    sections = _open_sections(load_document(text, name), name)
    table, id_column, id_key = _parse_record(sections["record"])
    keys = {id_key: "[record]"}
    fields = tuple(_parse_fields(sections["fields"], keys))
    aggregates = (*_parse_aggregates(sections["counts"], keys), *_parse_aggregates(sections["sums"], keys))
    if len(keys) == 1:
        hint = "declare a field, a count or a sum in [fields], [counts] or [sums]"
        raise ViewError(f"{name}: the record holds nothing but its id", hint)
    tables = list(dict.fromkeys([table, *(each.table for each in aggregates)]))
    sources = tuple(_parse_sources(sections["tables"], tables, id_column))
    return View(table, id_column, id_key, fields, aggregates, sources)


def _open_sections(document: dict[str, Any], name: str) -> dict[str, Section]:
    """Return every section, those that are not there empty."""
    for word, content in document.items():
        if word not in SECTIONS:
            why = explain_refusal(word)
            if why is not None:
                raise ViewError(f"{name}: [{word}] is not to be had: {why[0]}", why[1])
            known = [f"[{each}]" for each in SECTIONS]
            if not isinstance(content, dict):
                raise ViewError(f"{name}: {word} is in no section", f"write it below one of {', '.join(known)}")
            raise ViewError(f"{name}: [{word}] is not known", suggest(f"[{word}]", known))
        if not isinstance(content, dict):
            raise ViewError(f"{name}: {word} is {describe(content)}", f"write a section, [{word}], once")
    if "record" not in document:
        hint = 'write [record], and below it of = "users", id = "user_id", as = "userId" with the names of your table'
        raise ViewError(f"{name}: [record] is missing", hint)
    return {section: Section(f"{name}: [{section}]", document.get(section, {})) for section in SECTIONS}


def _parse_record(record: Section) -> tuple[str, str, str]:
    """Return the record's table, the column of its id, and the key of its id."""
    record.check_words(("of", "id", "as"))
    if isinstance(record.content.get("id"), list):
        hint = 'write one column, such as id = "user_id"; owners hold its value'
        raise record.refuse("id", "is a list; a record has one id", hint)
    table, column, key = (
        record.read_text(word, example) for word, example in (("of", "users"), ("id", "user_id"), ("as", "userId"))
    )
    check_table(record, "of", table)
    check_column(record, "id", column)
    check_key(record, "as", key)
    return table, column, key


def _take_key(keys: dict[str, str], section: Section, key: str, name: str) -> None:
    """Note a key of the record, which no other may have."""
    check_key(section, key, key)
    if key in keys:
        raise section.refuse(key, f"is a key of the record already, in {keys[key]}", "give each key a name of its own")
    keys[key] = name


def _parse_fields(fields: Section, keys: dict[str, str]) -> Iterator[Field]:
    for key, value in fields.content.items():
        _take_key(keys, fields, key, "[fields]")
        if isinstance(value, dict):
            yield _parse_field(key, fields.open(key, 'column = "a_column"'))
        else:
            column = fields.read_text(key, "a_column")
            check_column(fields, key, column)
            yield Field(key, column)


def _parse_field(key: str, field: Section) -> Field:
    field.check_words(("column", "type", "scale"))
    column = field.read_text("column", "a_column")
    check_column(field, "column", column)
    kind = field.read_text("type", "text") if "type" in field.content else "text"
    known = next((each for each in FIELD_TYPES if each == kind), None)
    if known is None:
        raise field.refuse("type", f"{describe(kind)} is not known", suggest(kind, FIELD_TYPES))
    if known == "decimal":
        if "scale" not in field.content:
            raise field.refuse("scale", "is missing", "write how many places the decimal has, such as scale = 2")
        return Field(key, column, known, _read_scale(field))
    if "scale" in field.content:
        raise field.refuse("scale", f"has no meaning for the type {kind}", 'leave it out, or write type = "decimal"')
    return Field(key, column, known)


def _read_scale(section: Section) -> int:
    scale = section.content["scale"]
    if type(scale) is not int or not 0 <= scale <= MAX_SCALE:
        shown = scale if type(scale) is int else describe(scale)
        raise section.refuse("scale", f"is {shown}", f"write a whole number from 0 to {MAX_SCALE:,}")
    return scale


def _parse_aggregates(section: Section, keys: dict[str, str]) -> Iterator[Aggregate]:
    """Yield the counts, or the sums, that a section declares."""
    sums = section.place.endswith("[sums]")
    example = 'of = "orders", by = "account_id"' + (', column = "amount"' if sums else "")
    for key in section.content:
        _take_key(keys, section, key, section.place.rpartition(" ")[2])
        yield _parse_aggregate(key, section.open(key, example), sums=sums)


def _parse_aggregate(key: str, aggregate: Section, *, sums: bool) -> Aggregate:
    for word in aggregate.content:
        why = explain_refusal(word)
        if why is not None:
            raise aggregate.refuse(word, f"is not to be had: {why[0]}", why[1])
        if word in ("column", "scale") and not sums:
            raise aggregate.refuse(word, "has no meaning for a count", "declare a sum in [sums], or leave it out")
    aggregate.check_words(("of", "by", "column", "scale", "where") if sums else ("of", "by", "where"))
    table = aggregate.read_text("of", "orders")
    check_table(aggregate, "of", table)
    owner = aggregate.read_text("by", "account_id")
    check_column(aggregate, "by", owner)
    conditions = parse_conditions(aggregate.open("where", 'status = "paid"')) if "where" in aggregate.content else ()
    if not sums:
        return Aggregate(key, table, owner, conditions)
    column = aggregate.read_text("column", "amount")
    check_column(aggregate, "column", column)
    return Aggregate(
        key, table, owner, conditions, column, _read_scale(aggregate) if "scale" in aggregate.content else None
    )


def _parse_sources(tables: Section, read: Sequence[str], id_column: str) -> Iterator[Source]:
    """Yield the tables that are read, the record's own first, each with its topic and its key."""
    for table in tables.content:
        if table not in read:
            raise tables.refuse(table, "is no table of this view", suggest(table, read))
    topics: dict[str, str] = {}
    variables: dict[str, str] = {}
    example = 'topic = "shop.public.orders", key = "order_id"'
    for table in read:
        other = variables.setdefault(topic_variable(table), table)
        if other != table:
            hint = "call one of them otherwise here, and name its topic in [tables]"
            raise tables.refuse(table, f"would share the variable {topic_variable(table)} with {other}", hint)
        section = tables.open(table, example) if table in tables.content else Section(f"{tables.place} {table}", {})
        section.check_words(("topic", "key"))
        topic = section.read_text("topic", "shop.public.orders") if "topic" in section.content else table
        check_topic(section, "topic", topic)
        if topics.setdefault(topic, table) != table:
            raise section.refuse(
                "topic", f'"{topic}" is that of {topics[topic]} already', "name the topic of this table alone"
            )
        yield Source(table, topic, _parse_key(section, (id_column,) if table == read[0] else None, default_key(table)))


def _parse_key(section: Section, identity: tuple[str, ...] | None, default: str) -> tuple[str, ...]:
    """Return a table's primary key; that of the record's own table is its id."""
    if "key" not in section.content:
        return identity or (default,)
    value = section.content["key"]
    columns = value if isinstance(value, list) else [value]
    if not columns or not all(isinstance(each, str) for each in columns) or len({*columns}) < len(columns):
        hint = 'write a column or a list of different ones, such as key = "order_id" or key = ["order_id", "line"]'
        raise section.refuse("key", f"is {describe(value)}", hint)
    for column in columns:
        check_column(section, "key", column)
    if identity not in (None, tuple(columns)):
        raise section.refuse("key", "is another than the record's id", "leave it out: [record] id is this table's key")
    return tuple(columns)
