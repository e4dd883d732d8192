"""One session with PostgreSQL, which only reads: snapshots, rows behind a cursor, keys. One poller holds its lock."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from psycopg import Connection, IsolationLevel, capabilities
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from poller.catalog import read_table
from poller.errors import DatabaseError
from poller.tables import Table
from shared.errors import AlreadyRunning
from shared.view.model import Source

LEAST_VERSION = 140_000
"""PostgreSQL 14: exact numbers out of `extract`, and a name for the function of xid8 everywhere."""

SESSION = (
    b"SET TimeZone = 'UTC'",
    b"SET DateStyle = 'ISO'",
    b"SET IntervalStyle = 'iso_8601'",
    b"SET extra_float_digits = 1",
    # An error instead of rows that a policy hides.
    b"SET row_security = off",
    b"SET idle_in_transaction_session_timeout = '10min'",
)

LOCK_SECONDS = 10.0
"""How long a session that has been cut off may take to release its lock."""

CHUNK_ROWS = 200
"""How many rows the client takes at once."""

_IDENTITY = b"""
SELECT (SELECT system_identifier FROM pg_control_system())::text || '/' || current_database(),
    CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END
"""

_SNAPSHOT = b"""
SELECT (extract(epoch FROM now()) * 1000)::bigint, pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint
"""
"""`now()` is the time of BEGIN, before this statement takes the snapshot."""

_HOLDER = b"""
SELECT format('process %s of %s, from %s', a.pid, a.application_name, coalesce(a.client_addr::text, 'a socket'))
FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND (l.classid::bigint << 32) | l.objid::bigint = $1
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a transaction sees.

    Args:
        now_ms: the database's time before it, epoch ms.
        oldest: the lowest transaction id that still ran.
        following: the id above all that had ended.
    """

    now_ms: int
    oldest: int
    following: int


class Database:
    """A session.

    Args:
        dsn: how to connect.
        name: what its sessions are called.

    Raises:
        DatabaseError: it is too old.
        psycopg.OperationalError: it does not answer.
    """

    def __init__(self, dsn: str, name: str) -> None:
        self._connection: Connection[TupleRow] = psycopg.connect(
            make_conninfo(dsn, application_name=name, connect_timeout=10, keepalives_idle=10, tcp_user_timeout=30_000),
            autocommit=True,
            cursor_factory=psycopg.RawCursor,
        )
        self._connection.isolation_level = IsolationLevel.REPEATABLE_READ
        self._connection.read_only = True
        self._chunk = CHUNK_ROWS if capabilities.has_stream_chunked() else 1
        version = self._connection.info.server_version
        if version < LEAST_VERSION:
            raise DatabaseError(f"PostgreSQL is version {version // 10_000}; polling needs 14", "upgrade it")
        for statement in SESSION:
            self._connection.execute(statement)

    def lock(self, number: int) -> None:
        """Hold a lock for as long as the session lasts.

        Args:
            number: of the lock, a signed integer of 64 bits.

        Raises:
            AlreadyRunning: another session holds it; names it.
        """
        deadline = time.monotonic() + LOCK_SECONDS
        while self._ask(b"SELECT pg_try_advisory_lock($1)", [number]) != (True,):
            if time.monotonic() > deadline:
                holder, *_ = self._ask(_HOLDER, [number & (2**64 - 1) if number >= 0 else number]) or ("unknown",)
                raise AlreadyRunning(
                    f"another poller of this POLLER_NAME polls the database: {holder}",
                    "stop it first; one poller is enough, since a second one would have nothing to do",
                )
            time.sleep(0.2)

    def read_identity(self) -> tuple[str, int]:
        """Return which database it is, and its timeline, which changes when a replica takes over or a backup does."""
        database, timeline = self._ask(_IDENTITY)
        return str(database), int(timeline)

    def read_tables(self, sources: Mapping[str, Source], deleted: Mapping[str, str]) -> list[Table]:
        """Return the tables as they are.

        Args:
            sources: topic -> table.
            deleted: table -> the SQL condition under which a row counts as deleted.

        Raises:
            DatabaseError: polling them would pass rows by; says what to do.
        """
        tables = [
            read_table(self._connection, source, topic, deleted.get(source.table)) for topic, source in sources.items()
        ]
        for table in tables:
            if self._ask(table.ahead_sql.encode()) == (True,):
                raise DatabaseError(
                    f"the table {table.source.table} holds rows of transactions that this database has not begun: they"
                    " come from a dump of another one",
                    f"mark them as written now: UPDATE {table.name} SET poller_tx = '0', which its trigger corrects",
                )
        return tables

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Hold one snapshot of everything, in a transaction that ends with the context."""
        with self._connection.transaction():
            yield Snapshot(*self._ask(_SNAPSHOT))

    def read_rows(self, table: Table, oldest: int, cursor: Sequence[str] | None) -> Iterator[tuple[Any, ...]]:
        """Yield the next rows behind a cursor, at most BATCH_ROWS: transaction, key's columns, key, row.

        Args:
            table: which.
            oldest: the lowest transaction id that still ran in the snapshot.
            cursor: transaction and key's columns of the last row that was read; None: from the beginning.
        """
        statement = table.rows_sql(continued=cursor is not None).encode()
        with self._connection.cursor(binary=True) as rows:
            yield from rows.stream(statement, [str(oldest), *(cursor or ())], size=self._chunk)

    def read_keys(self, table: Table) -> Iterator[bytes]:
        """Yield the keys of all rows that are not deleted."""
        with self._connection.cursor(binary=True) as keys:
            for (key,) in keys.stream(table.keys_sql.encode(), size=self._chunk):
                yield key

    def _ask(self, statement: bytes, values: Sequence[object] = ()) -> tuple[Any, ...]:
        return self._connection.execute(statement, values).fetchone() or ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
