"""A real Kafka Connect with Debezium: rows of PostgreSQL become records of the source topics."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from doctor import connect_status
from stack.errors import StackError
from stack.ops import (
    CONNECTOR_FILE,
    TOPIC_CREATION,
    read_avro_converters,
    read_connector,
    read_source_topic,
    read_tables,
    read_worker,
)
from stack.servers import java
from stack.servers.kafka import VERSION
from stack.servers.ports import free_port
from stack.servers.postgres import Postgres
from stack.servers.process import Command, check_port
from stack.servers.properties_file import render_properties
from stack.servers.registry import Registry

COORDINATES = (
    f"org.apache.kafka:connect-runtime:{VERSION}+io.debezium:debezium-connector-postgres:3.4.0.Final+{java.LOGGING}"
)
AVRO_COORDINATES = f"{COORDINATES}+io.apicurio:apicurio-registry-utils-converter:2.6.13.Final"
"""The same, with what writes Avro."""

CONNECTOR = read_connector()["name"]
PARTITIONS = int(read_connector()[f"{TOPIC_CREATION}partitions"])

TOPICS = read_tables()
"""What it writes, each named as its table is."""


def build_connector(postgres_host: str, postgres_port: int, file: Path = CONNECTOR_FILE) -> dict[str, str]:
    """Return the connector's configuration: that of `ops/` or of a file, for a PostgreSQL that asks for no password."""
    place = {"database.hostname": postgres_host, "database.port": str(postgres_port), "database.password": ""}
    return read_connector(file) | place


def build_worker(bootstrap_servers: str, port: int, registry: Registry | None = None) -> dict[str, str]:
    """Return the worker's properties: those of `ops/`, for servers and files of this machine.

    Args:
        bootstrap_servers: Kafka's address.
        port: of the REST interface.
        registry: of the schemas of the Avro that it writes; None: it writes JSON.
    """
    place = {
        "bootstrap.servers": bootstrap_servers,
        "listeners": f"http://127.0.0.1:{port}",
        # The connector's position in PostgreSQL's log. Seen from where the worker runs: `${…}` in a folder's name would
        # be taken for a secret to look up.
        "offset.storage.file.filename": "offsets",
    }
    # Plugins come by the class path here.
    converters = {} if registry is None else read_avro_converters(registry.converter_url)
    return {name: value for name, value in read_worker().items() if name != "plugin.path"} | place | converters


class Connect:
    """Kafka Connect, standalone, with the connector's position in PostgreSQL's log.

    Args:
        folder: where settings, offsets and log are kept; started there again, it continues where it was.
        bootstrap_servers: Kafka's address.
        postgres: the database whose tables it reads.
        port: of its REST interface; 0 takes a free one and keeps it.
        options: the Java virtual machine's, such as an agent's.
        connector: the file with the connector's configuration.
        registry: of the schemas of the Avro that it writes; None: it writes JSON.
        coordinates: of the programs; with a registry, and by default, AVRO_COORDINATES.
    """

    def __init__(  # noqa: PLR0913 - where it is, what it reads, and how
        self,
        folder: Path,
        bootstrap_servers: str,
        postgres: Postgres,
        port: int = 0,
        options: Sequence[str] = (),
        *,
        connector: Path = CONNECTOR_FILE,
        registry: Registry | None = None,
        coordinates: str | None = None,
    ) -> None:
        self._registry = registry
        self.coordinates = coordinates or (COORDINATES if registry is None else AVRO_COORDINATES)
        self._connector = connector
        self._topics = read_tables(connector)
        self.folder = folder.absolute()
        self.port = port or free_port()
        self._bootstrap_servers = bootstrap_servers
        self._postgres = postgres
        self._options = options

    @cached_property
    def command(self) -> Command:
        """The command that starts it."""
        files = (str(self.folder / "worker.properties"), str(self.folder / "connector.json"))
        options = ("-Xmx512m", *java.scratch_options(self.folder), *java.QUIET, *self._options)
        main_class = "org.apache.kafka.connect.cli.ConnectStandalone"
        arguments = java.build_command(self.coordinates, main_class, *files, options=options)
        return Command("Kafka Connect", arguments, self.folder, java.ENVIRONMENT)

    @cached_property
    def _client(self) -> httpx.Client:
        # One for all requests: each client reads every certificate of this machine, which takes longer than a request.
        # It keeps no connection, so that nothing has to close it.
        return httpx.Client(timeout=5, limits=httpx.Limits(max_keepalive_connections=0))

    def start(self, *, detached: bool = False) -> Self:
        """Start it and wait until the connector's task runs.

        Raises:
            StackError: its port is in use, it does not start, or its task fails.
        """
        check_port("Kafka Connect", self.port, "STACK_CONNECT_PORT")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.create_topics()
        worker = build_worker(self._bootstrap_servers, self.port, self._registry)
        (self.folder / "worker.properties").write_bytes(render_properties(worker))
        connector = build_connector("127.0.0.1", self._postgres.port, self._connector)
        (self.folder / "connector.json").write_text(json.dumps({"name": CONNECTOR, "config": connector}))
        self.command.start(self._is_running, detached=detached)
        return self

    def stop(self) -> bool:
        """Stop it as an operator would; return whether it ran."""
        return self.command.stop()

    @property
    def url(self) -> str:
        """The connector's address."""
        return f"http://127.0.0.1:{self.port}/connectors/{CONNECTOR}"

    def answers(self) -> bool:
        """Return whether the connector's task runs."""
        return connect_status.all_tasks_run(self.read_status())

    def find_problem(self) -> str | None:
        """Return why the connector's task has failed, in Debezium's words; None where it has not."""
        for task in self.read_status().get("tasks", []):
            if task["state"] == "FAILED":
                reasons = [line for line in task.get("trace", "").splitlines() if not line.startswith("\tat ")]
                return "the connector's task has failed:\n" + "\n".join(f"  {line}" for line in reasons[:5])
        return None

    def read_status(self) -> dict[str, Any]:
        """Return what Connect says about the connector; empty where it does not answer."""
        try:
            response = self._client.get(f"{self.url}/status")
        except httpx.TransportError:
            return {}
        found: dict[str, Any] = response.json() if response.is_success else {}
        return found

    def _is_running(self) -> bool:
        problem = self.find_problem()
        if problem is not None:
            raise StackError(f"{problem}\n{self.command.read_last_lines()}")
        return self.answers()

    def create_topics(self) -> None:
        """Create the source topics, which Connect itself would create only with a table's first row.

        Those of an earlier version get the configuration of this one: a row that is served must fit once it is edited.

        Raises:
            StackError: Kafka refuses.
        """
        admin = AdminClient({"bootstrap.servers": self._bootstrap_servers, "log_level": 0})
        existing = admin.list_topics(timeout=10).topics
        config = read_source_topic()
        missing = [NewTopic(topic, PARTITIONS, -1, config=config) for topic in self._topics if topic not in existing]
        changes = [_set_config(topic, config) for topic in self._topics if topic in existing]
        created = admin.create_topics(missing) if missing else {}
        changed = admin.incremental_alter_configs(changes) if changes else {}
        for topic, done in [*created.items(), *((resource.name, done) for resource, done in changed.items())]:
            try:
                done.result()
            except KafkaException as error:
                raise StackError(f"cannot set up the topic {topic}: {error.args[0].str()}") from error

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _set_config(topic: str, config: Mapping[str, str]) -> ConfigResource:
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in config.items()]
    return ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
