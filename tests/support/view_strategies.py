"""What Hypothesis draws of views: made-up ones, and histories of their tables as Kafka may deliver them.

A column's name begins with what it holds. A value is drawn as (its JSON in a row, what the tables hold), since that is
where SQL takes it from. Order holds only within a row.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import strategies as st

from shared.view.model import Aggregate, Condition, Field, FieldType, Source, View
from tests.support.strategies import UNAVAILABLE, Event, nulls
from tests.support.view_truth import list_columns

Sent = tuple[str, str | int | None]
"""A value as JSON in a row, and as the tables hold it."""

Held = dict[str, str | int | None]
"""A row as its table holds it."""

RECORD_IDS = ("1", "é")
LINES = ("x", "y")
NULL: Sent = ("null", None)
LARGE = "123456789012345678901234567890"


def as_text(*values: str) -> list[Sent]:
    """Return texts as they are sent."""
    return [(json.dumps(value), value) for value in values]


def as_numbers(*values: str) -> list[Sent]:
    """Return numbers as they are sent, as numbers and as text."""
    return [*((value, value) for value in values), *as_text(*values)]


def as_bytes(unscaled: int, text: str) -> Sent:
    """Return a decimal as Debezium sends it by default."""
    size = unscaled.bit_length() // 8 + 1
    return json.dumps(base64.b64encode(unscaled.to_bytes(size, "big", signed=True)).decode()), text


MOMENT = "2009-01-14T02:04:36"

VALUES: Mapping[str, list[Sent]] = {
    "owner": [*as_numbers("1", "1"), *as_text("é", "é", "é", "ghost")],
    "word": [("true", "true"), ("false", "false"), *as_numbers("5", "1.50"), *as_text("x", "", "Ünï 🦉")],
    "whole": as_numbers("0", "1", "-3", "1e2", "9223372036854775807", LARGE, f"-{LARGE}"),
    "amount": as_numbers("0.10", "-0.25", "10", "1.5000", f"{LARGE}.99"),
    "doc": [("[1, 2.0]", "[1,2.0]"), ('{"a" : {"é": null}}', '{"a":{"é":null}}'), ('"t"', '"t"'), (LARGE, LARGE)],
    "day": [("0", 0), ("-1", -1), ("19782", 19782), *as_text("2024-02-29")],
    "millis": [("-1", -1), ("1231898676001", 1231898676001), (f'"{MOMENT}.5Z"', f"{MOMENT}.500Z")],
    "micros": [("-1", -1), ("1231898676000001", 1231898676000001), (f'"{MOMENT}Z"', f"{MOMENT}.000000Z")],
    "nanos": [("-1", -1), ("1231898676000000001", 1231898676000000001), (f'"{MOMENT}Z"', f"{MOMENT}.000000000Z")],
    "fee": [*as_numbers("12.5", "-0.05", "3"), as_bytes(1250, "12.50"), as_bytes(-1, "-0.01")],
}
"""What a column's name begins with -> what it may hold besides null."""

FIELDS: list[tuple[str, FieldType, int]] = [
    ("word_1", "text", 0),
    ("whole_1", "text", 0),
    ("owner_1", "text", 0),
    ("doc_1", "json", 0),
    ("day_1", "date", 0),
    ("millis_1", "timestamp-millis", 0),
    ("micros_1", "timestamp-micros", 0),
    ("nanos_1", "timestamp-nanos", 0),
    ("fee_1", "decimal", 2),
]
SUMS: list[tuple[str, int | None]] = [("whole_1", None), ("whole_1", 2), ("amount_1", 2), ("amount_1", 6)]
COMPARED = ("word_1", "word_2", "owner_1", "owner_2", "whole_1")
TABLES = ("of", "by", "beside")
"""The record's own table is the first."""


@dataclass(frozen=True)
class ViewHistory:
    """A view, events in an order in which Kafka may deliver them, and the tables that they end in."""

    view: View
    events: tuple[Event, ...]
    tables: Mapping[str, list[Held]]


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """Draw a condition of one of the kinds that a view's file can say."""
    column = draw(st.sampled_from(COMPARED))
    kind = draw(st.sampled_from(["any", "any", "not", "null", "not null"]))
    if kind.endswith("null"):
        return Condition(column, frozenset(), negated=kind != "null", accepts_null=kind == "null")
    known = sorted({str(held) for _, held in VALUES[column.split("_")[0]]})
    texts = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
    return Condition(column, frozenset(texts), negated=kind == "not", accepts_null=kind == "not")


@st.composite
def aggregates(draw: st.DrawFn, number: int) -> Aggregate:
    """Draw a count or a sum over any table, the record's own included."""
    column, scale = draw(st.sampled_from([(None, None), (None, None), *SUMS]))
    wanted = draw(st.just([]) | st.lists(conditions(), max_size=2, unique_by=lambda each: each.column))
    owner = draw(st.sampled_from(["owner_1", "owner_1", "owner_2"]))
    return Aggregate(f"a{number}", draw(st.sampled_from(TABLES)), owner, tuple(wanted), column, scale)


@st.composite
def views(draw: st.DrawFn) -> View:
    """Draw a view: fields of every type, several aggregates over one table, keys of one and of two columns."""
    fields = [Field(f"f{n}", *each) for n, each in enumerate(draw(st.lists(st.sampled_from(FIELDS), max_size=3)))]
    drawn = [draw(aggregates(number)) for number in range(draw(st.integers(0 if fields else 1, 4)))]
    ordered = sorted(drawn, key=lambda each: each.column is not None)
    tables = dict.fromkeys([TABLES[0], *(each.table for each in ordered)])
    one, two = ("id",), ("id", "line")
    keys = {table: one if table == TABLES[0] else draw(st.sampled_from([one, two])) for table in tables}
    sources = tuple(Source(table, table, key) for table, key in keys.items())
    return View(TABLES[0], "id", "id", tuple(fields), tuple(ordered), sources)


@st.composite
def versions(
    draw: st.DrawFn, view: View, source: Source, identity: Mapping[str, str], before: Held | None
) -> tuple[dict[str, str], Held]:
    """Draw one version of a row, given the one before: what is sent, and what its table holds then.

    Some values are left out as unchanged; some columns that are null, and that no owner is in, are absent.
    """
    columns = [column for column in list_columns(view, source.table) if column not in source.key]
    owners = {each.owner for _, each in view.aggregates_of(source.table)}
    sent, held = {name: json.dumps(value) for name, value in identity.items()}, Held(identity)
    for column in columns:
        sent[column], held[column] = draw(st.sampled_from([NULL, *VALUES[column.split("_")[0]]]))
        if held[column] is None and column not in owners and draw(st.booleans()):
            del sent[column]
    if draw(st.booleans()):
        for column in draw(st.lists(st.sampled_from(columns), unique=True)) if columns else ():
            sent[column], held[column] = json.dumps(UNAVAILABLE), (before or {}).get(column)
    return sent, held


@st.composite
def row_histories(
    draw: st.DrawFn, view: View, source: Source, identity: Mapping[str, str], *, as_object: bool
) -> tuple[list[Event], Held | None]:
    """Draw one row's life: written, edited, moved, deleted twice over, written again, delivered again."""
    key = json.dumps(identity, separators=(",", ":"), ensure_ascii=False) if as_object else identity["id"]
    events: list[Event] = []
    row: Held | None = None

    def write(value: bytes | None, source_ms: int = 50) -> None:
        events.append(Event(source.table, "/".join(identity.values()), None, key.encode(), value, source_ms))

    for action in draw(st.lists(st.sampled_from(["write", "write", "write", "delete", "again"]), max_size=5)):
        if action == "write":
            sent, row = draw(versions(view, source, identity, row))
            source_ms = draw(st.integers(1, 50))
            write(draw(documents(sent, source_ms)), source_ms)
        elif action == "delete":
            row = None
            for _ in range(draw(st.integers(1, 2))):
                write(draw(nulls))
        elif action == "again":
            events += events[-draw(st.integers(1, 3)) :]
    return events, row


@st.composite
def documents(draw: st.DrawFn, sent: Mapping[str, str], source_ms: int) -> bytes:
    """Draw how a row is written: as it is, or in an envelope; with Connect's wrapper or without."""
    row = "{" + ",".join(f"{json.dumps(name)}: {text}" for name, text in sent.items()) + "}"
    if draw(st.booleans()):
        row = f'{{"before":null,"after":{row},"op":"u","source":{{"ts_ms":{source_ms}}}}}'
    return (f'{{"schema":{{"type":"struct"}},"payload":{row}}}' if draw(st.booleans()) else row).encode()


@st.composite
def view_histories(draw: st.DrawFn) -> ViewHistory:
    """Draw a view, and the lives of a few rows of its tables, in any order that keeps each row's own."""
    view = draw(views())
    lives, tables = [], []
    for source in view.sources:
        as_object = draw(st.booleans()) or len(source.key) > 1
        lines = LINES if len(source.key) > 1 else ("",)
        for identity in [{"id": record_id, "line": line} for record_id in RECORD_IDS for line in lines]:
            columns = {column: identity[column] for column in source.key}
            lives.append(draw(row_histories(view, source, columns, as_object=as_object)))
            tables.append(source.table)
    turns = [life for life, (events, _) in enumerate(lives) for _ in events]
    waiting = [iter(events) for events, _ in lives]
    events = tuple(next(waiting[life]) for life in draw(st.permutations(turns)))
    final: dict[str, list[Held]] = {table: [] for table in tables}
    for table, (_, row) in zip(tables, lives, strict=True):
        if row is not None:
            final[table].append(row)
    return ViewHistory(view, events, final)
