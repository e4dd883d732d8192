"""Which tables the stack has: those of `ops/`, or an example's, with connector, view, first rows and load."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psycopg
from psycopg import sql

from shared.view.file import read_view
from shared.view.model import BUILT_IN, View
from stack.errors import StackError
from stack.ops import CONNECTOR_FILE, SCHEMA_FILE, read_tables
from stack.seed import populate
from stack.traffic import CHANGES, Changes

EXAMPLES = Path(__file__).parents[1] / "examples"

LOAD = re.compile(r"^-- (\d+): ([^\n]+)\n(.+?;)$", re.MULTILINE | re.DOTALL)
"""How often in a hundred, what changes, and the statement."""


@dataclass(frozen=True)
class Example:
    """Tables, and what belongs to them; without a folder those of `ops/`.

    Args:
        folder: of `schema.sql`, `connector.json`, `view.toml`, `seed.sql` and `load.sql`.
    """

    folder: Path | None = None

    @property
    def schema(self) -> Path:
        """The script that creates the tables and the publication, where they are missing."""
        return SCHEMA_FILE if self.folder is None else self.folder / "schema.sql"

    @property
    def connector(self) -> Path:
        """The connector's configuration, as Kafka Connect's interface takes it."""
        return CONNECTOR_FILE if self.folder is None else self.folder / "connector.json"

    @property
    def topics(self) -> tuple[str, ...]:
        """What the connector writes, each named as its table is."""
        return read_tables(self.connector)

    @property
    def view_file(self) -> Path | None:
        """The view's file; None: the built-in view."""
        return None if self.folder is None else self.folder / "view.toml"

    @cached_property
    def view(self) -> View:
        """What is joined from the tables."""
        return BUILT_IN if self.view_file is None else read_view(self.view_file)

    @property
    def resource(self) -> str:
        """What its records are served as."""
        return self.view.table.replace("_", "-")

    @property
    def settings(self) -> dict[str, str]:
        """The environment that the tiers need besides their places."""
        if self.view_file is None:
            return {}
        return {"USER_INFO_VIEW": str(self.view_file), "READER_RESOURCE": self.resource}

    @property
    def changes(self) -> Changes:
        """What keeps changing under load."""
        if self.folder is None:
            return CHANGES
        found = LOAD.findall((self.folder / "load.sql").read_text())
        return {what: (int(share), statement) for share, what, statement in found}

    @property
    def first_change(self) -> str:
        """A statement that changes the record with the id 1, for people to try."""
        if self.folder is None:
            return "INSERT INTO likes (user_id, tweet_id) VALUES (1, 1)"
        return next(iter((self.folder / "load.sql").read_text().splitlines())).removeprefix("-- Try: ")

    def populate(self, dsn: str, records: int) -> int:
        """Fill empty tables; return how many rows were written, 0 if there are records already.

        Args:
            dsn: how to connect.
            records: how many rows the record's table gets; the others' rows come with them.
        """
        if self.folder is None:
            return populate(dsn, records)
        with psycopg.connect(dsn) as connection:
            table = sql.Identifier(self.view.table)
            if connection.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(table)).fetchone() == (True,):
                return 0
            connection.execute("SELECT set_config('seed.records', %s, true)", [str(records)])
            connection.execute((self.folder / "seed.sql").read_bytes())
            return sum(_count_rows(connection, source.table) for source in self.view.sources)


def _count_rows(connection: psycopg.Connection, table: str) -> int:
    (rows,) = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone() or (0,)
    return int(rows)


OWN = Example()
"""The tables of `ops/`."""


def find_example(name: str | None) -> Example:
    """Return an example by the name of its folder; None: the tables of `ops/`.

    Raises:
        StackError: there is none of that name.
    """
    if name is None:
        return OWN
    known = sorted(file.parent.name for file in EXAMPLES.glob("*/view.toml"))
    if name not in known:
        raise StackError(f"STACK_EXAMPLE={name}: there is no such example", f"use one of: {', '.join(known)}")
    return Example(EXAMPLES / name)
