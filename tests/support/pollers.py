"""Drives pollers: a database of a test's own on a shared PostgreSQL, topics of its own, and the poller between them."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from poller.tables import installation
from shared.view.model import topic_variable
from stack.examples import OWN, Example
from stack.servers.ports import free_port
from stack.servers.postgres import HEARTBEATS, Postgres
from tests.support.programs import Program, Tier
from tests.support.topics import Topics


class Poller(Tier):
    """One poller process, with a folder and a port of its own.

    Args:
        settings: where Kafka and PostgreSQL are, and what the topics are called.
        folder: of its state; its log is next to it.
        more: further settings.
    """

    port_variable: ClassVar[str] = "POLLER_HTTP_PORT"

    def __init__(self, settings: Mapping[str, str], folder: Path, **more: str) -> None:
        own = {"POLLER_STATE_DIR": str(folder), "POLLER_HTTP_PORT": str(free_port())}
        super().__init__("poller", {**settings, **own, **more}, folder.with_name(f"{folder.name}.log"))

    def elsewhere(self, **more: str) -> Program:
        """Return one with another folder and port, as on another host; not started yet."""
        folder = Path(self.environment["POLLER_STATE_DIR"]).with_name("elsewhere")
        return Poller(self.environment, folder, **more)


class Polled:
    """Polled tables: a database with an example's tables, ready for polling, and what names its topics.

    Args:
        bootstrap_servers: where Kafka is.
        postgres: where the database is created.
        folder: of the poller's state and log.
        name: of the database, and what the topics' names begin with.
        example: tables and view; those of `ops/` unless it is given.
        rows: how many records its tables hold at first.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        postgres: Postgres,
        folder: Path,
        name: str,
        *,
        example: Example = OWN,
        rows: int = 0,
    ) -> None:
        self.example = example
        self.topics = Topics(bootstrap_servers, f"{name}-")
        self.dsn = make_conninfo(postgres.dsn, dbname=name)
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with psycopg.connect(self.dsn) as connection:
            connection.execute(example.schema.read_bytes())
        if rows:
            example.populate(self.dsn, rows)
        self.run(*installation(example.view))
        sources = {topic_variable(source.table): self.topics.name(source.table) for source in example.view.sources}
        beats = {"HEARTBEATS_TOPIC": self.topics.name(HEARTBEATS)}
        self.settings = {**self.topics.settings(), **example.settings, **sources, **beats}
        own = {"POLLER_POSTGRES_DSN": self.dsn, "POLLER_NAME": f"{name}-poller", "POLLER_INTERVAL_SECONDS": "0.1"}
        self.poller = Poller({**self.settings, **own}, folder / f"{name}-poller", POLLER_COMPARE_SECONDS="0.5")

    def run(self, *statements: str) -> None:
        """Run statements, each by itself."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        """Return what a SELECT returns."""
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(statement.encode()).fetchall()
