"""The statements that write a copy, with its columns. Pure."""

from collections.abc import Sequence

from shared.view.sql import quote
from sink.postgres.columns import Column

STATES = """
CREATE TABLE IF NOT EXISTS {states} (
    copy text PRIMARY KEY, owner text NOT NULL, version bigint NOT NULL, state json NOT NULL)
"""
REFUSED = """
CREATE TABLE IF NOT EXISTS {refused} (
    copy text NOT NULL, user_key bytea NOT NULL, topic_partition integer NOT NULL, topic_offset bigint NOT NULL,
    reason text NOT NULL, PRIMARY KEY (copy, user_key))
"""


def create_table(table: str, columns: Sequence[Column]) -> str:
    """Return what creates the table of a copy; the first column is the primary key."""
    first, *others = columns
    lines = [f"{quote(first.name)} text PRIMARY KEY", *(f"{quote(each.name)} {each.type}" for each in others)]
    return f"CREATE TABLE {quote(table)} ({', '.join(lines)})"


def add_columns(table: str, columns: Sequence[Column]) -> str:
    """Return what adds columns; they are null until records that have them are applied."""
    added = ", ".join(f"ADD COLUMN {quote(each.name)} {each.type}" for each in columns)
    return f"ALTER TABLE {quote(table)} {added}"


def drop_columns(table: str, columns: Sequence[Column]) -> str:
    """Return what drops columns."""
    dropped = ", ".join(f"DROP COLUMN IF EXISTS {quote(each.name)}" for each in columns)
    return f"ALTER TABLE {quote(table)} {dropped}"


def upsert(table: str, columns: Sequence[Column]) -> str:
    """Return what inserts or replaces rows; its parameter is a JSON array of records, as they are in the topic."""
    names = ", ".join(quote(each.name) for each in columns)
    replaced = ", ".join(f"{quote(each.name)} = EXCLUDED.{quote(each.name)}" for each in columns[1:])
    action = f"UPDATE SET {replaced}" if replaced else "NOTHING"
    return _with_parameters(
        f"INSERT INTO {quote(table)} ({names}) SELECT {_keys(columns)} FROM {_records(columns)}"
        f" ON CONFLICT ({quote(columns[0].name)}) DO {action}"
    )


def read_record(columns: Sequence[Column]) -> str:
    """Return what fails where the JSON array in the parameter holds a record that cannot be stored; changes nothing."""
    return _with_parameters(f"SELECT {_keys(columns)} FROM {_records(columns)}")


def delete(table: str, columns: Sequence[Column]) -> str:
    """Return what deletes rows; its parameter is a list of ids."""
    return _with_parameters(f"DELETE FROM {quote(table)} WHERE {quote(columns[0].name)} = ANY(\0)")


def replace_rows(table: str, source: str, columns: Sequence[Column]) -> list[str]:
    """Return what empties a table, fills it from another, and drops that; in one transaction nobody sees it empty."""
    names = ", ".join(quote(each.name) for each in columns)
    return [
        # No TRUNCATE: to a transaction that began before it, the table would be empty.
        f"DELETE FROM {quote(table)}",
        f"INSERT INTO {quote(table)} ({names}) SELECT {names} FROM {quote(source)}",
        f"DROP TABLE {quote(source)}",
    ]


def rename(table: str, name: str) -> str:
    """Return what renames a table."""
    return f"ALTER TABLE {quote(table)} RENAME TO {quote(name)}"


def _keys(columns: Sequence[Column]) -> str:
    return ", ".join(f"r.{quote(each.key)}" for each in columns)


def _records(columns: Sequence[Column]) -> str:
    types = ", ".join(f"{quote(each.key)} {each.type}" for each in columns)
    return f"json_to_recordset(\0::json) AS r({types})"


def _with_parameters(statement: str) -> str:
    """Return a statement with its placeholder as psycopg wants it, and what might look like one to it escaped."""
    return statement.replace("%", "%%").replace("\0", "%s")
