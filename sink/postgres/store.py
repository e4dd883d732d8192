"""Copies of the topic as tables of a PostgreSQL: a batch's rows and the state that follows are one transaction.

The live copy is the table that programs read; the next one is a table of its own until it is whole.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any

import psycopg

from replication.records import Record
from shared.shape import BUILT_IN_SHAPE
from shared.view.sql import quote
from sink.claims import Claim
from sink.errors import BeginAnew, Claimed, ForeignData, StoreChanged, StoreUnavailable
from sink.postgres import statements
from sink.postgres.columns import Column, find_change, to_columns
from sink.postgres.errors import translate_errors
from sink.postgres.refused import find_misnamed, find_refused, replace_refused
from sink.state import CopyState
from sink.store import Copy

CONNECTION: Mapping[str, Any] = {
    "autocommit": True,
    "connect_timeout": 5,
    "application_name": "user-info-sink",
    # A server whose machine is gone says nothing.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


class PostgresStore:
    """The store; see `sink.store.Store`.

    Args:
        dsn: how to connect.
        table: the table that programs read.
    """

    def __init__(self, dsn: str, table: str) -> None:
        self.name = f"the table {table}"
        self.remedy = f"stop the sink, drop the tables {table} and {table}_sink, and start it"
        self._dsn = dsn
        self._tables: dict[Copy, str] = {"live": table, "next": f"{table}_next"}
        self._states, self._refused = f"{table}_sink", f"{table}_refused"
        self._claim = Claim()
        self._connection: psycopg.Connection | None = None
        self._versions: dict[Copy, int] = {}
        self._known: dict[Copy, CopyState] = {}
        self._has_refused = True

    def open(self) -> None:
        """Connect, and claim what is to be written."""
        self.close()
        with self._translated():
            connection = self._connection = psycopg.connect(self._dsn, **CONNECTION)
            _run(connection, statements.STATES.format(states=quote(self._states)))
            _run(connection, statements.REFUSED.format(refused=quote(self._refused)))
            lock = _run(connection, "SELECT pg_try_advisory_lock(hashtext(%s), hashtext(%s))", self._lock).fetchone()
            if lock != (True,):
                owner = _run(connection, f"SELECT max(owner) FROM {quote(self._states)}").fetchone()
                raise Claimed(f"{self.name} is written by another sink ({(owner and owner[0]) or 'just started'})")
            self._claim.renew()
            _run(connection, f"UPDATE {quote(self._states)} SET owner = %s", [self._claim.owner])
            self._refuse_foreign(connection)
            query = f"SELECT EXISTS (SELECT FROM {quote(self._refused)})"
            self._has_refused = _run(connection, query).fetchone() != (False,)

    @property
    def _lock(self) -> list[str]:
        return ["user-info-sink", self._states]

    def _refuse_foreign(self, connection: psycopg.Connection) -> None:
        """Refuse a table that no sink has made."""
        live = self._tables["live"]
        found = _run(connection, "SELECT to_regclass(%s) IS NOT NULL", [quote(live)]).fetchone()
        if found == (True,) and self.read("live") is None:
            raise ForeignData(
                f"the table {live} is there already, and no sink has made it",
                "set SINK_POSTGRES_TABLE to a name of its own",
            )

    def close(self) -> None:
        """Give up the claim, and disconnect."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None
        self._versions.clear()
        self._known.clear()

    def keep_claim(self) -> None:
        """Say that this sink is still there."""
        if self._claim.is_due():
            with self._translated():
                _run(self._open, "SELECT 1")
            self._claim.renew()

    @property
    def _open(self) -> psycopg.Connection:
        if self._connection is None:
            raise StoreUnavailable("the connection to PostgreSQL is closed")
        return self._connection

    def read(self, copy: Copy) -> CopyState | None:
        """Return the state of a copy; None if there is none."""
        with self._translated():
            query = f"SELECT version, state FROM {quote(self._states)} WHERE copy = %s"
            found = _run(self._open, query, [copy]).fetchone()
        if found is None:
            return None
        self._versions[copy] = found[0]
        state = self._known[copy] = CopyState.from_document(found[1])
        return state

    def begin(self, state: CopyState) -> None:
        """Begin the next copy."""
        table = self._tables["next"]
        with self._translated(), self._open.transaction():
            _run(self._open, f"DROP TABLE IF EXISTS {quote(table)}")
            _run(self._open, statements.create_table(table, _columns_of(state)))
            _run(self._open, f"DELETE FROM {quote(self._refused)} WHERE copy = 'next'")
            _run(self._open, f"DELETE FROM {quote(self._states)} WHERE copy = 'next'")
            statement = f"INSERT INTO {quote(self._states)} VALUES ('next', %s, 0, %s)"
            _run(self._open, statement, [self._claim.owner, json.dumps(state.to_document())])
        self._versions["next"], self._known["next"] = 0, state

    def apply(self, copy: Copy, state: CopyState, records: Mapping[bytes, Record]) -> None:
        """Apply records, together with the state that follows."""
        columns = _columns_of(state)
        refused = find_misnamed(columns[0].key, records)
        try:
            self._apply(copy, state, columns, records, refused)
        except (psycopg.DataError, UnicodeError):
            with self._translated():
                found = find_refused(self._open, columns, records)
            if found.keys() <= refused.keys():
                raise
            self._apply(copy, state, columns, records, refused | found)
        self._versions[copy] += 1
        self._known[copy] = state
        self._claim.renew()

    def _apply(
        self,
        copy: Copy,
        state: CopyState,
        columns: list[Column],
        records: Mapping[bytes, Record],
        refused: Mapping[bytes, str],
    ) -> None:
        """Apply records; the rows of those that are refused are deleted, and named."""
        connection, table = self._open, self._tables[copy]
        values = [each.value for key, each in records.items() if each.value is not None and key not in refused]
        # No row has an id with U+0000.
        gone = [key for key, each in records.items() if (each.value is None or key in refused) and b"\0" not in key]
        with self._translated(), connection.transaction():
            self._advance(copy, copy, state)
            self._change_columns(copy, state, columns)
            if refused or self._has_refused:
                replace_refused(connection, self._refused, copy, records, refused)
                self._has_refused = True
            if gone:
                _run(connection, statements.delete(table, columns), [[key.decode() for key in gone]])
            if values:
                array = (b"[" + b",".join(values) + b"]").decode()
                if _run(connection, statements.upsert(table, columns), [array]).rowcount != len(values):
                    raise psycopg.DataError("a value holds more than one record")

    def _advance(self, copy: Copy, becomes: Copy, state: CopyState) -> None:
        """Replace a copy's state, if it still is the one that this sink knows."""
        statement = (
            f"UPDATE {quote(self._states)} SET copy = %s, state = %s, version = version + 1"
            " WHERE copy = %s AND version = %s AND owner = %s"
        )
        parameters = [becomes, json.dumps(state.to_document()), copy, self._versions[copy], self._claim.owner]
        if _run(self._open, statement, parameters).rowcount != 1:
            raise StoreChanged(f"{self.name} is not as this sink has left it")

    def _change_columns(self, copy: Copy, state: CopyState, columns: list[Column]) -> None:
        """Give the table the columns of a new shape."""
        known = self._known[copy]
        if state.shape == known.shape:
            return
        added, why = find_change(_columns_of(known), columns)
        if known.shape is None and known.has_users and added:
            # What these records said there has been passed over, while the built-in shape was assumed.
            why = "the topic's records have another shape than was assumed"
        if why is not None:
            assert state.shape is not None  # noqa: S101 - it differs from the known one, and is never forgotten
            raise BeginAnew(why, (state.shape, state.shape_ms))
        if added:
            _run(self._open, statements.add_columns(self._tables[copy], added))

    def publish(self, state: CopyState) -> None:
        """Put the next copy in the place of the live one."""
        live, table = self._tables["live"], self._tables["next"]
        with self._translated(), self._open.transaction():
            old = self.read("live")
            for place in (self._states, self._refused):
                _run(self._open, f"DELETE FROM {quote(place)} WHERE copy = 'live'")
            self._advance("next", "live", state)
            _run(self._open, f"UPDATE {quote(self._refused)} SET copy = 'live' WHERE copy = 'next'")
            if old is None:
                _run(self._open, statements.rename(table, live))
            else:
                for statement in self._replace(_columns_of(old), _columns_of(state)):
                    _run(self._open, statement)
        self._known = {"live": state}
        self._versions = {"live": self._versions["next"] + 1}

    def _replace(self, old: list[Column], new: list[Column]) -> Iterator[str]:
        """Yield what replaces the live table's rows, and its columns; views and grants on it stay."""
        live, table = self._tables["live"], self._tables["next"]
        empty, fill, drop = statements.replace_rows(live, table, new)
        yield empty
        dropped = [column for column in old if column not in new]
        added = [column for column in new if column not in old]
        if dropped:
            yield statements.drop_columns(live, dropped)
        if added:
            yield statements.add_columns(live, added)
        yield fill
        yield drop

    def count_refused(self, copy: Copy) -> int:
        """Return how many users a copy lacks because their records cannot be stored."""
        if not self._has_refused:
            return 0
        with self._translated():
            query = f"SELECT count(*) FROM {quote(self._refused)} WHERE copy = %s"
            found = _run(self._open, query, [copy]).fetchone()
        return int(found[0]) if found else 0

    def _translated(self) -> AbstractContextManager[None]:
        return translate_errors(self.name)


def _columns_of(state: CopyState) -> list[Column]:
    return to_columns(state.known_shape or BUILT_IN_SHAPE)


def _run(connection: psycopg.Connection, statement: str, parameters: Any = None) -> psycopg.Cursor:  # noqa: ANN401
    return connection.execute(statement.encode(), parameters)
