"""The view as one SELECT: what its records are by definition, for PostgreSQL and for SQLite.

Shares nothing with what joins, except the parsed view. Each output column is one key of the record, in the record's
order: ids and fields as text (`json`: the JSON), counts as integers, sums as exact numbers, those with a scale as text.

PostgreSQL: a `text` field of a timestamptz column is ISO 8601 in UTC with six decimals, as Debezium writes it. A `json`
field is a JSON text where its column is json or jsonb, as Debezium sends it, else what to_json makes of its column.

SQLite has neither booleans nor exact decimals nor types for time, so the tables hold what the topics carry: booleans as
the texts true and false, JSON as JSON, integers beyond 64 bits as text, days and timestamps as numbers or as ISO text.
Sums and decimals are calculated by the functions decimal_sum and decimal_add, which the sqlite3 shell has built in and
other clients get from SQLite's decimal extension.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias, get_args

from shared.view.model import Aggregate, Condition, Field, View

Dialect: TypeAlias = Literal["postgresql", "sqlite"]

DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

DECIMALS = {"timestamp-millis": 3, "timestamp-micros": 6, "timestamp-nanos": 9}
"""Type of a field -> how many decimals its seconds have."""


class _Words(NamedTuple):
    """How a dialect says what the standard has no words for.

    Args:
        text: a column as text, as JSON has it.
        field: a column as a field of the record.
        total: the sum of a column with a scale over rows, which FROM and WHERE name.
    """

    text: Callable[[str], str]
    field: Callable[[str, Field], str]
    total: Callable[[str, int | None, str], str]


def to_sql(view: View, dialect: Dialect, only: str = "") -> str:
    """Return the SELECT of all records of a view, without a semicolon.

    Args:
        view: the view; its tables are found by their names, in PostgreSQL along the search path.
        dialect: of which database.
        only: what the id must be, such as ``= $1`` or ``= ANY($1)``; empty: every record.
    """
    words = _DIALECTS[dialect]
    identity = _column("record", view.id_column)
    columns = [f"{words.text(identity)} AS {quote(view.id_key)}"]
    columns += [f"{words.field(_column('record', each.column), each)} AS {quote(each.key)}" for each in view.fields]
    columns += [f"{_aggregate(each, identity, words)} AS {quote(each.key)}" for each in view.aggregates]
    where = f"\nWHERE {identity} {only}" if only else ""
    return "SELECT " + "\n     , ".join(columns) + f"\nFROM {quote(view.table)} AS record{where}"


def quote(name: str) -> str:
    """Return an identifier that SQL takes as it is written."""
    return '"' + name.replace('"', '""') + '"'


def _column(alias: str, column: str) -> str:
    return f"{alias}.{quote(column)}"


def _aggregate(aggregate: Aggregate, identity: str, words: _Words) -> str:
    """Return a count or a sum over the rows whose owner is the record."""
    wanted = [f"{_column('owned', aggregate.owner)} = {identity}"]
    wanted += [_condition(each, _column("owned", each.column), words) for each in aggregate.conditions]
    rows = f"FROM {quote(aggregate.table)} AS owned WHERE {' AND '.join(wanted)}"
    if aggregate.column is None:
        return f"(SELECT count(*) {rows})"
    return words.total(_column("owned", aggregate.column), aggregate.scale, rows)


def _condition(condition: Condition, column: str, words: _Words) -> str:
    if not condition.texts:
        return f"{column} IS {'NULL' if condition.accepts_null else 'NOT NULL'}"
    listed = ", ".join(map(_literal, sorted(condition.texts)))
    compared = f"{words.text(column)} {'NOT IN' if condition.negated else 'IN'} ({listed})"
    return f"({column} IS NULL OR {compared})" if condition.accepts_null else compared


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _postgresql_text(column: str) -> str:
    return f"{column}::text"


def _postgresql_field(column: str, field: Field) -> str:
    if field.type == "text":
        # Of the types that Debezium sends as text, this is the one that PostgreSQL prints otherwise.
        moment = f"to_char({column}::text::timestamptz AT TIME ZONE 'UTC', {_literal(_time_format(6))})"
        return f"CASE WHEN pg_typeof({column}) = 'timestamptz'::regtype THEN {moment} ELSE {column}::text END"
    if field.type == "json":
        documents = "('json'::regtype, 'jsonb'::regtype)"
        return f"CASE WHEN pg_typeof({column}) IN {documents} THEN to_json({column}::text) ELSE to_json({column}) END"
    if field.type == "date":
        return f"to_char({column}, 'YYYY-MM-DD')"
    if field.type == "decimal":
        return f"round({column}::numeric, {field.scale})::text"
    # The epoch is that of the column's own type; the difference to it no longer depends on a time zone.
    return f"to_char(timestamp 'epoch' + ({column} - 'epoch'), {_literal(_time_format(DECIMALS[field.type]))})"


def _time_format(decimals: int) -> str:
    return 'YYYY-MM-DD"T"HH24:MI:SS.' + {3: 'MS"Z"', 6: 'US"Z"', 9: 'US"000Z"'}[decimals]


def _postgresql_total(column: str, scale: int | None, rows: str) -> str:
    total = f"round(coalesce(sum({column}::numeric), 0), {scale or 0})"
    return f"(SELECT {total}{'' if scale is None else '::text'} {rows})"


def _sqlite_text(column: str) -> str:
    return f"CAST({column} AS TEXT)"


def _sqlite_field(column: str, field: Field) -> str:
    if field.type == "text":
        return _sqlite_text(column)
    if field.type == "json":
        return column
    if field.type == "decimal":
        return _round(column, field.scale)
    if field.type == "date":
        return f"CASE typeof({column}) WHEN 'integer' THEN date({column} * 86400, 'unixepoch') ELSE {column} END"
    places = DECIMALS[field.type]
    fraction = f"(({column} % {10**places}) + {10**places}) % {10**places}"
    seconds = f"strftime('%Y-%m-%dT%H:%M:%S', ({column} - {fraction}) / {10**places}, 'unixepoch')"
    moment = f"{seconds} || printf('.%0{places}dZ', {fraction})"
    return f"CASE typeof({column}) WHEN 'integer' THEN {moment} ELSE {column} END"


def _sqlite_total(column: str, scale: int | None, rows: str) -> str:
    return _round(f"coalesce(decimal_sum({column}), '0')", scale or 0, rows)


def _round(number: str, scale: int, rows: str = "") -> str:
    """Return the expression of a number with so many places; those that it has besides are zeros.

    decimal_add gives its result the places of the longer operand. It takes the sign of a zero from the first.
    """
    zero = f"'0.{'0' * scale}'" if scale else "'0'"
    end = f"+ {scale}" if scale else "- 1"
    padded = f"SELECT decimal_add({zero}, {number}) AS number{f' {rows}' if rows else ''}"
    return f"(SELECT substr(number, 1, instr(number || '.', '.') {end}) FROM ({padded}))"


_DIALECTS: dict[Dialect, _Words] = {
    "postgresql": _Words(_postgresql_text, _postgresql_field, _postgresql_total),
    "sqlite": _Words(_sqlite_text, _sqlite_field, _sqlite_total),
}
