"""How a column becomes a value of a row: SQL that PostgreSQL runs, so that no row is built in Python.

Values are those that Debezium writes without schemas and with `decimal.handling.mode=string`: the same view reads both.
Where Debezium has a form of its own for a type that no view reads as more than text, it is PostgreSQL's text. Pure.
"""

import re
from dataclasses import dataclass

from shared.view.sql import quote

AS_THEY_ARE = frozenset(("int2", "int4", "int8", "float4", "float8", "bool", "text", "varchar", "bpchar", "uuid"))
"""Types that PostgreSQL itself writes into JSON as Debezium does; the others' text, unless they are below."""

MILLIS_PRECISION = 3
"""Up to so many places Debezium counts a timestamp in milliseconds, beyond in microseconds."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Args:
        name: its name.
        base: the name of its type; of a domain, that of the type below.
        declared: its type as SQL writes it, such as ``numeric(12,2)``.
        is_array: whether it is an array.
    """

    name: str
    base: str
    declared: str
    is_array: bool = False

    @property
    def places(self) -> int:
        """How many places the seconds of a time have."""
        found = re.search(r"\((\d)\)", self.declared)
        return int(found[1]) if found else 6


def to_value_sql(column: Column) -> str:
    """Return the expression of a column's value, for row_to_json; the row is called t."""
    name = f"t.{quote(column.name)}"
    if column.is_array or column.base in AS_THEY_ARE:
        return name
    units = 1_000 if column.places <= MILLIS_PRECISION else 1_000_000
    count = f"(extract(epoch FROM {name}) * {units})::bigint"
    moment = f"""to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    expressions = {
        "date": _unless_infinite(name, f"{name} - date '1970-01-01'"),
        "timestamp": _unless_infinite(name, count),
        "timestamptz": _unless_infinite(name, moment),
        "time": count,
        "bytea": f"translate(encode({name}, 'base64'), E'\\n', '')",
    }
    return expressions.get(column.base, f"{name}::text")


def _unless_infinite(name: str, expression: str) -> str:
    """Return an expression that leaves an infinite time as its text, which whoever reads it as a time refuses."""
    return f"CASE WHEN isfinite({name}) THEN to_json({expression}) ELSE to_json({name}::text) END"
