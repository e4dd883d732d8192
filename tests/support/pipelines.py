"""Whole services of a test's own on servers that are shared: a database, a connector, topics, a joiner and a reader.

So a test can have tables, and a connector's settings, that no other test has, for a few seconds instead of a stack's.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from shared.view.model import topic_variable
from stack.examples import OWN, Example
from stack.ops import read_avro_converters
from stack.servers.connect import PARTITIONS, Connect, build_connector
from stack.servers.kafka import Kafka
from stack.servers.postgres import HEARTBEATS, Postgres
from stack.servers.registry import Registry
from tests.support.http_client import get
from tests.support.joiners import Joiner
from tests.support.readers import Reader
from tests.support.service import Service
from tests.support.topics import Topics
from tests.support.waiting import wait_for

SCHEMAS = {
    "key.converter": "org.apache.kafka.connect.json.JsonConverter",
    "key.converter.schemas.enable": "true",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter.schemas.enable": "true",
}
"""What a connector needs to write schemas beside keys and rows."""

FLATTENING = {
    "transforms": "route,flatten",
    "transforms.flatten.type": "io.debezium.transforms.ExtractNewRecordState",
    "transforms.flatten.add.fields": "op,source.ts_ms",
}
"""What a connector needs to write flat rows."""

DELETIONS = "transforms.flatten.delete.tombstone.handling.mode"
"""The setting that says what flat deletions look like."""

DROP_SLOT = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s AND NOT active"


@dataclass(frozen=True, slots=True)
class Servers:
    """What pipelines share."""

    kafka: Kafka
    postgres: Postgres
    connect: Connect
    folder: Path


class Pipeline:
    """One pipeline; started, its joiner and its reader are ready.

    Args:
        servers: where it runs.
        name: of its database, connector and slot, and what its topics' names begin with.
        tables: statements that change the example's tables, which hold 40 records, before the connector sees them.
        connector: settings of the connector that differ from the example's.
        example: tables, connector and view; those of `ops/` unless it is given.
        registry: of the schemas of the Avro that its connector writes; None: it writes JSON.
    """

    def __init__(
        self,
        servers: Servers,
        name: str,
        tables: Sequence[str] = (),
        connector: Mapping[str, str] | None = None,
        example: Example = OWN,
        *,
        registry: Registry | None = None,
    ) -> None:
        self.name = name
        self._example = example
        self.topics = Topics(servers.kafka.bootstrap_servers, f"{name}-")
        self._servers = servers
        self._dsn = make_conninfo(servers.postgres.dsn, dbname=name)
        self._tables = tables
        self.connector = dict(connector or {})
        reading = {}
        if registry is not None:
            self.connector |= read_avro_converters(registry.converter_url)
            reading = {"SCHEMA_REGISTRY_URL": registry.url, "SCHEMA_REGISTRY_PATIENCE_SECONDS": "2"}
        folder = servers.folder / name
        folder.mkdir()
        sources = {topic_variable(source.table): self.topics.name(source.table) for source in example.view.sources}
        settings = {**self.topics.settings(), **example.settings, **sources, **reading}
        self.joiner = Joiner(settings, folder / "joiner", HEARTBEATS_TOPIC=self.topics.name(HEARTBEATS))
        self.reader = Reader(settings, folder / "reader")
        self.service = Service(
            self._dsn, servers.postgres.port, servers.kafka.bootstrap_servers, self.joiner.port, self.reader.port
        )
        self._opened = ExitStack()

    @property
    def connector_url(self) -> str:
        """The connector's address."""
        return f"http://127.0.0.1:{self._servers.connect.port}/connectors/{self.name}"

    def create_database(self) -> None:
        """Create the database with its tables and their rows."""
        with psycopg.connect(self._servers.postgres.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.name)))
        with psycopg.connect(self._dsn) as connection:
            connection.execute(self._example.schema.read_bytes())
        self._example.populate(self._dsn, 40)
        self.service.sql(*self._tables)

    def configure(self) -> None:
        """Create the connector, or change its settings; one that is stopped stays so."""
        own = {
            "name": self.name,
            "database.dbname": self.name,
            "slot.name": self.name,
            "topic.prefix": self.name,
            "transforms.route.regex": rf"{self.name}\.public\.(.*)",
            "transforms.route.replacement": self.topics.name("$1"),
        }
        ours = build_connector("127.0.0.1", self._servers.postgres.port, self._example.connector)
        config = ours | own | self.connector
        httpx.put(f"{self.connector_url}/config", json=config, timeout=30).raise_for_status()

    def connector_runs(self) -> bool:
        """Return whether the connector's task runs."""
        return [task["state"] for task in self._status().get("tasks", [])] == ["RUNNING"]

    def _status(self) -> dict[str, Any]:
        response = get(f"{self.connector_url}/status")
        status: dict[str, Any] = response.json() if response.is_success else {}
        return status

    def delete_connector(self) -> None:
        """Delete the connector with its offsets, and its slot."""
        httpx.put(f"{self.connector_url}/stop", timeout=30)
        wait_for(lambda: self._status().get("tasks") == [], 30, "the connector's task stopped")
        httpx.delete(f"{self.connector_url}/offsets", timeout=30).raise_for_status()
        httpx.delete(self.connector_url, timeout=30).raise_for_status()
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            wait_for(lambda: connection.execute(DROP_SLOT, [self.name]).rowcount, 30, f"the slot {self.name} dropped")

    def await_truth(self, seconds: float = 60.0) -> None:
        """Wait until every user that SQL knows is answered as it says."""
        truth = self.service.truth()
        assert truth
        wait_for(lambda: dict(self.service.answers(list(truth))) == truth, seconds, f"{self.name} as SQL says")

    def __enter__(self) -> Self:
        """Start all of it."""
        with self._opened as opened:
            self.create_database()
            self.topics.create(*self._example.topics, partitions=PARTITIONS)
            self.configure()
            wait_for(self.connector_runs, 60, f"the task of {self.name}: {self._status()}")
            opened.callback(self.delete_connector)
            opened.enter_context(self.joiner)
            opened.enter_context(self.reader)
            self.joiner.wait_until_ready()
            self.reader.wait_until_ready()
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop what is its own."""
        self._opened.close()
