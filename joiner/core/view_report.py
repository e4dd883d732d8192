"""Describes a view for people: the record, what each topic must carry, and what its state costs. Pure."""

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from shared.view.model import Aggregate, Condition, Field, FieldType, Source, View

ID = "1234567890"
TEXT = "a text of 20 letters"
SUM = 1250
TIME_MS = 1_709_209_800_000

EXAMPLES: Mapping[FieldType, object] = {
    "text": TEXT,
    "json": {"any": ["JSON"]},
    "date": "2024-02-29",
    "timestamp-millis": "2024-02-29T12:30:00.000Z",
    "timestamp-micros": "2024-02-29T12:30:00.000000Z",
    "timestamp-nanos": "2024-02-29T12:30:00.000000000Z",
}

MARGIN = "  "


def describe_view(view: View, topics: Mapping[str, Source]) -> Iterator[str]:
    """Yield the lines that describe a view.

    Args:
        view: the view.
        topics: topic -> the view's table that it carries, the record's own first.
    """
    yield f"A record for each row of {view.table}:"
    yield from _align(describe_keys(view))
    yield from ("", "Such as:", MARGIN + _dump(make_example(view)))
    yield from ("", "Topics, and the columns that their rows must carry (* key):")
    yield from _align([(topic, *_describe_columns(view, each)) for topic, each in topics.items()])
    yield from (
        "",
        "Replica identities (with DEFAULT, PostgreSQL sends no large value that an UPDATE leaves as it is):",
    )
    yield from _align([(each.table, *_advise_identity(view, each)) for each in topics.values()])
    yield from ("", "State, in RocksDB and in its changelog, if ids have 10 and texts 20 characters:")
    yield from _align(_estimate_costs(view, tuple(topics.values())))


def make_example(view: View) -> dict[str, object]:
    """Return a record, each value as its type has it."""
    fields = {field.key: _make_value(field) for field in view.fields}
    counted = {each.key: _make_total(each) for each in view.aggregates}
    return {view.id_key: ID, **fields, **counted}


def _make_value(field: Field) -> object:
    return _decimal(field.scale) if field.type == "decimal" else EXAMPLES[field.type]


def _make_total(aggregate: Aggregate) -> object:
    if aggregate.column is None:
        return 3
    return SUM if aggregate.scale is None else _decimal(aggregate.scale)


def _decimal(scale: int) -> str:
    return f"12.{'5'.ljust(scale, '0')[:scale]}".rstrip(".")


def _align(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows as lines whose columns stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield (MARGIN + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()


def describe_keys(view: View) -> list[tuple[str, str]]:
    """Return what each key of the record is, in the record's order."""
    fields = [(field.key, f"{view.table}.{field.column}{_describe_type(field)}") for field in view.fields]
    counted = [(each.key, _describe_aggregate(each)) for each in view.aggregates]
    return [(view.id_key, f"{view.table}.{view.id_column}, text"), *fields, *counted]


def _describe_type(field: Field) -> str:
    return f", {field.type}" + (f" with {field.scale} places" if field.type == "decimal" else "")


def _describe_aggregate(aggregate: Aggregate) -> str:
    what = "rows of " + aggregate.table if aggregate.column is None else f"sum of {aggregate.table}.{aggregate.column}"
    places = "" if aggregate.scale is None else f" with {aggregate.scale} places"
    conditions = " and ".join(map(_describe_condition, aggregate.conditions))
    return f"{what}{places} by {aggregate.owner}{' where ' if conditions else ''}{conditions}"


def _describe_condition(condition: Condition) -> str:
    if not condition.texts:
        return f"{condition.column} is {'null' if condition.accepts_null else 'not null'}"
    listed = " or ".join(map(_dump, sorted(condition.texts)))
    return f"{condition.column} is {'not ' if condition.negated else ''}{listed}"


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _describe_columns(view: View, source: Source) -> tuple[str, str]:
    marked = [f"{column}*" if column in source.key else column for column in view.columns_of(source)]
    return source.table, ", ".join(marked)


def _advise_identity(view: View, source: Source) -> tuple[str, str]:
    """Return the replica identity that a table needs, and when.

    PostgreSQL sends no large value that an UPDATE leaves as it is, if the identity does not include it. What was last
    known of it stays; but a rebuild reads a compacted topic, where the row may have no other record.
    """
    texts = {field.column for field in view.fields if source.table == view.table and field.type in ("text", "json")}
    for _, each in view.aggregates_of(source.table):
        texts |= {condition.column for condition in each.conditions}
    if texts - {*source.key}:
        return (
            "FULL",
            "unless its rows stay below 2 kB",
        )
    return "DEFAULT", "is enough"


def _estimate_costs(view: View, sources: Sequence[Source]) -> list[tuple[str, str]]:
    """Return the bytes of key and value for each store; a value is about as long as its JSON."""
    costs = []
    for source in sources:
        read = dict.fromkeys(column for _, each in view.aggregates_of(source.table) for column in each.columns)
        if read:
            owners = {each.owner for _, each in view.aggregates_of(source.table)}
            key = ID if len(source.key) == 1 else _dump(dict.fromkeys(source.key, ID))
            row = [ID if column in owners else TEXT for column in read]
            costs.append((f"a row of {source.table}", f"{len(key) + len(_dump(row))} bytes"))
    profile = [_make_value(field) for field in view.fields]
    totals = [3 if each.column is None else SUM for each in view.aggregates]
    return [*costs, ("a record", f"{len(ID) + len(_dump([profile, totals, TIME_MS, TIME_MS]))} bytes")]


def check_columns(columns: Sequence[str], rows: Iterable[Container[str]]) -> dict[str, int]:
    """Return the columns that not every row carries, each with how many rows do.

    Args:
        columns: what a topic's rows must carry.
        rows: the columns of each row that was read.
    """
    found = list(rows)
    counts = {column: sum(column in row for row in found) for column in columns}
    return {column: count for column, count in counts.items() if count < len(found)}
