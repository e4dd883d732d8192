"""What PostgreSQL says of the tables: whether polling them passes rows by is found out here, and refused by name."""

from collections.abc import Sequence

from psycopg import Connection
from psycopg.rows import TupleRow

from poller.columns import Column
from poller.errors import DatabaseError
from poller.tables import TX, Table
from shared.view.model import Source
from shared.view.sql import quote

INSTALL = "run the statements that `python -m poller sql` prints, as the table's owner"

_COLUMNS = b"""
SELECT a.attname, coalesce(b.typname, t.typname), format_type(a.atttypid, a.atttypmod), t.typcategory = 'A',
    a.attnotnull
FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid LEFT JOIN pg_type AS b ON b.oid = t.typbasetype
WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""

_PARTS = b"""
WITH RECURSIVE part(oid) AS (
    SELECT $1::oid UNION SELECT i.inhrelid FROM pg_inherits AS i JOIN part ON i.inhparent = part.oid
)
SELECT part.oid::regclass::text, EXISTS (
    SELECT FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
    WHERE t.tgrelid = part.oid AND p.proname = $2 AND t.tgenabled = 'A' AND t.tgtype = 23 AND t.tgqual IS NULL
    AND t.tgattr = ''
) FROM part ORDER BY 1
"""
"""The table, its partitions and its heirs, and whether the trigger marks the rows of each.

23 is before each row's insert and update. It must fire always: whoever loads rows with triggers off, like pg_restore,
leaves it in another mode afterwards, and rows that this left without their transaction would be passed by."""

_INDEXES = b"""
SELECT i.indisunique, array_agg(a.attname::text ORDER BY k.place)
FROM pg_index AS i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
JOIN pg_attribute AS a ON a.attnum = k.number
WHERE i.indrelid = $1::oid AND a.attrelid = i.indrelid AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid, i.indisunique
"""


def read_table(connection: Connection[TupleRow], source: Source, topic: str, deleted: str | None) -> Table:
    """Return a table as it is.

    Args:
        connection: whose search path finds it.
        source: its name and key.
        topic: its changelog.
        deleted: the SQL condition under which a row counts as deleted.

    Raises:
        DatabaseError: it is missing, or polling it would pass rows by.
    """
    name = quote(source.table)
    (oid,) = connection.execute(b"SELECT to_regclass($1)::oid", [name]).fetchone() or (None,)
    if oid is None:
        hint = "correct the view, or name its schema: POLLER_POSTGRES_DSN='… options=-csearch_path=SCHEMA'"
        raise DatabaseError(f"there is no table {source.table}", hint)
    found = connection.execute(_COLUMNS, [oid]).fetchall()
    columns = {column: Column(column, base, declared, is_array) for column, base, declared, is_array, _ in found}
    nullable = {column for column, *_, is_required in found if not is_required}
    _check_key(connection, source, oid, columns.keys() - nullable)
    if TX not in columns or columns[TX].base != "xid8" or TX in nullable:
        raise DatabaseError(f"the table {source.table} has no column {TX} of type xid8 that is NOT NULL", INSTALL)
    parts = connection.execute(_PARTS, [oid, TX]).fetchall()
    unguarded = [part for part, is_guarded in parts if not is_guarded]
    if unguarded:
        raise DatabaseError(
            f"rows that are written into {', '.join(unguarded)} do not get their transaction into {TX}: the trigger"
            f" {TX} is missing, or is not ENABLE ALWAYS",
            f"{INSTALL}; if rows were written meanwhile, UPDATE them then, or delete POLLER_STATE_DIR",
        )
    own = tuple(column for column in columns.values() if column.name != TX)
    return Table(source, topic, own, deleted, tuple(part for part, _ in parts))


def _check_key(connection: Connection[TupleRow], source: Source, oid: int, required: set[str]) -> None:
    """Check that the view's key identifies each row, and that an index leads from a cursor to the next rows.

    Raises:
        DatabaseError: it does not, or there is none.
    """
    key = list(source.key)
    indexes: Sequence[tuple[bool, list[str]]] = connection.execute(_INDEXES, [oid]).fetchall()
    is_unique = any(unique and sorted(columns) == sorted(key) for unique, columns in indexes)
    if not is_unique or not set(key) <= required:
        raise DatabaseError(
            f"the table {source.table} is not identified by {', '.join(key)}: it may be null, or is not unique",
            "name its primary key in the view, [tables]",
        )
    if not any(columns == [TX, *key] for _, columns in indexes):
        raise DatabaseError(
            f"the table {source.table} has no valid index of {', '.join([TX, *key])}: each poll would read all of it",
            INSTALL,
        )
