"""What a view's SQL says: the records of a view over final tables, in SQLite. Shares no code with the joiner."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Context, Decimal

from shared.view.model import View
from shared.view.sql import quote, to_sql

Value = str | int | None
"""As the tables hold it: booleans as true and false, JSON as JSON, integers beyond 64 bits as text."""

EXACT = Context(prec=100_000)


class DecimalSum:
    """Stands for the aggregate function decimal_sum of SQLite's decimal extension."""

    def __init__(self) -> None:
        self._total = Decimal(0)

    def step(self, number: Value) -> None:
        """Add one number."""
        if number is not None:
            self._total = EXACT.add(self._total, Decimal(number))

    def finalize(self) -> str:
        """Return the sum."""
        return f"{self._total:f}"


def add_decimals(first: Value, second: Value) -> str | None:
    """Stand for the function decimal_add of SQLite's decimal extension."""
    return None if first is None or second is None else f"{EXACT.add(Decimal(first), Decimal(second)):f}"


def open_database() -> sqlite3.Connection:
    """Return an empty database that has the functions of the decimal extension which views need."""
    database = sqlite3.connect(":memory:")
    database.create_function("decimal_add", 2, add_decimals, deterministic=True)
    database.create_aggregate("decimal_sum", 1, DecimalSum)  # type: ignore[arg-type]  # typeshed wants integers
    return database


def fill_tables(database: sqlite3.Connection, view: View, tables: Mapping[str, Sequence[Mapping[str, Value]]]) -> None:
    """Create the tables of a view without types, so that nothing is converted, and fill them.

    Args:
        database: where.
        view: whose tables, with the columns that it reads.
        tables: table -> rows, each column -> value; one that is absent is null.
    """
    for source in view.sources:
        columns = list_columns(view, source.table)
        database.execute(f"CREATE TABLE {quote(source.table)} ({', '.join(map(quote, columns))})")
        places = ", ".join("?" for _ in columns)
        database.executemany(
            f"INSERT INTO {quote(source.table)} VALUES ({places})",
            [[row.get(column) for column in columns] for row in tables.get(source.table, ())],
        )


def list_columns(view: View, table: str) -> list[str]:
    """Return the columns of a table that a view reads, its key first."""
    own = [column for source in view.sources if source.table == table for column in source.key]
    own += [field.column for field in view.fields] if table == view.table else []
    return list(dict.fromkeys([*own, *(column for _, each in view.aggregates_of(table) for column in each.columns)]))


def expected_records(view: View, tables: Mapping[str, Sequence[Mapping[str, Value]]]) -> dict[bytes, bytes]:
    """Return what a view's records are: id -> body.

    Args:
        view: the view.
        tables: its tables' rows, as fill_tables takes them.
    """
    with closing(open_database()) as database:
        fill_tables(database, view, tables)
        return {
            row[0].encode(): render_record(view, row) for row in database.execute(to_sql(view, "sqlite")).fetchall()
        }


def render_record(view: View, row: Sequence[Value]) -> bytes:
    """Return the body of a record, from a row that the view's SQL returned."""
    pairs = zip(view.keys, _render_values(view, row), strict=True)
    return ("{" + ",".join(f"{json.dumps(key)}:{text}" for key, text in pairs) + "}").encode()


def _render_values(view: View, row: Sequence[Value]) -> Iterator[str]:
    raw = [False, *(field.type == "json" for field in view.fields), *(each.scale is None for each in view.aggregates)]
    for is_raw, value in zip(raw, row, strict=True):
        yield str(value) if is_raw and value is not None else json.dumps(value, ensure_ascii=False)
