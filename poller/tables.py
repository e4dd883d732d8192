"""The SQL of one table: what the operator installs, what a poll reads, which keys there are. Pure.

Each row carries the id of the transaction that wrote it last (xid8, which never wraps around). A row whose transaction
is older than all that still run is final as of that snapshot: whatever commits later has a higher id. So a cursor over
(transaction, key) that stops below the oldest running transaction passes no row, however late its transaction commits.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from poller.columns import Column, to_value_sql
from shared.view.model import Source, View
from shared.view.sql import quote

TX = "poller_tx"
"""The column of the transaction that wrote the row last; trigger, function and index are called so, too."""

BATCH_ROWS = 10_000
"""How many rows a statement reads at most, and so about how many a transaction in Kafka writes."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it is, and the topic that its rows go to.

    Args:
        source: the table and its key.
        topic: its changelog.
        columns: of every row, the key's included.
        deleted: the SQL condition under which a row counts as deleted; None: every row that is there counts.
        parts: its partitions and heirs: the rows of one that is attached later may be older than what has been read.
    """

    source: Source
    topic: str
    columns: tuple[Column, ...]
    deleted: str | None = None
    parts: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The table's name, as SQL takes it."""
        return quote(self.source.table)

    @property
    def form(self) -> str:
        """What rows look like: whoever reads them must get all again where this changes."""
        columns = [[column.name, column.base, column.declared] for column in self.columns]
        return json.dumps([self.source.key, columns, self.deleted, self.parts])

    def rows_sql(self, *, continued: bool) -> str:
        """Return the statement of the next rows: transaction, key's columns as text, key and row as JSON.

        Args:
            continued: whether it begins behind a cursor: $2 is its transaction, the others its key's columns. $1 is the
                oldest transaction that still runs.
        """
        place = [f"t.{TX}", *(f"t.{quote(name)}" for name in self.source.key)]
        row = f"convert_to({_json_of(self.columns)}, 'UTF8')"
        if self.deleted is not None:
            row = f"CASE WHEN ({self.deleted}) IS TRUE THEN NULL ELSE {row} END"
        texts = ", ".join(f"{each}::text" for each in place)
        # By the columns themselves: what is selected as text under the same name would be sorted as text.
        return (
            f"SELECT {texts}, convert_to({self._key_json}, 'UTF8'), {row} FROM {self.name} AS t"
            f" WHERE t.{TX} < $1::xid8{self._behind(place) if continued else ''}"
            f" ORDER BY {', '.join(place)} LIMIT {BATCH_ROWS}"
        )

    @property
    def keys_sql(self) -> str:
        """The statement of the keys of all rows that are not deleted, as JSON."""
        where = "" if self.deleted is None else f" WHERE ({self.deleted}) IS NOT TRUE"
        return f"SELECT convert_to({self._key_json}, 'UTF8') FROM {self.name} AS t{where}"

    @property
    def ahead_sql(self) -> str:
        """The statement that says whether a row has a transaction that this database has not begun."""
        return f"SELECT EXISTS (SELECT FROM {self.name} WHERE {TX} >= pg_snapshot_xmax(pg_current_snapshot()))"

    @property
    def _key_json(self) -> str:
        by_name = {column.name: column for column in self.columns}
        return _json_of([by_name[name] for name in self.source.key])

    def _behind(self, place: Sequence[str]) -> str:
        types = [
            "xid8",
            *(column.declared for name in self.source.key for column in self.columns if column.name == name),
        ]
        values = ", ".join(f"${number}::text::{each}" for number, each in enumerate(types, start=2))
        return f" AND ({', '.join(place)}) > ({values})"


def _json_of(columns: Sequence[Column]) -> str:
    """Return the expression of a compact JSON object of columns."""
    values = ", ".join(f"{to_value_sql(column)} AS {quote(column.name)}" for column in columns)
    return f"(SELECT row_to_json(r)::text FROM (SELECT {values}) AS r)"


def installation(view: View) -> Iterator[str]:
    """Yield the statements that an operator runs once, as the tables' owner; running them again does no harm.

    Args:
        view: whose tables are polled.
    """
    yield (
        f"CREATE OR REPLACE FUNCTION {TX}() RETURNS trigger LANGUAGE plpgsql AS\n"
        f"$$ BEGIN NEW.{TX} := pg_current_xact_id(); RETURN NEW; END $$;"
    )
    for source in view.sources:
        table = quote(source.table)
        # In one transaction: a row that is written between the two would be passed by.
        yield "BEGIN;"
        yield f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {TX} xid8 NOT NULL DEFAULT '0';"
        yield f"DROP TRIGGER IF EXISTS {TX} ON {table};"
        yield (f"CREATE TRIGGER {TX} BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {TX}();")
        yield f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {TX};"
        yield "COMMIT;"
        index, key = quote(f"{source.table}_{TX}"), ", ".join([TX, *map(quote, source.key)])
        yield f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {table} ({key});"
