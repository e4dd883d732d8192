"""The servers of one STACK_DIR, in the order that they depend on each other."""

import time
from collections.abc import Callable
from typing import NamedTuple

from doctor.connect_status import explain_restart
from stack.errors import StackError
from stack.examples import find_example
from stack.servers import java, kafka, registry
from stack.servers.connect import Connect
from stack.servers.kafka import Kafka
from stack.servers.postgres import Postgres
from stack.servers.registry import Registry
from stack.settings import StackSettings


class ServerStatus(NamedTuple):
    """The status of one server: its name, process id, port, whether it answers, and what is wrong with it."""

    name: str
    pid: int | None
    port: int
    answers: bool
    problem: str | None


class Servers:
    """Kafka, PostgreSQL, a schema registry for Avro, and, unless the tables are polled, Kafka Connect.

    Args:
        settings: where their data is and on which ports they listen.
    """

    def __init__(self, settings: StackSettings) -> None:
        folder = settings.stack_dir
        self.example = find_example(settings.stack_example)
        self.polls = settings.stack_capture == "polling"
        self.kafka = Kafka(folder / "kafka", settings.stack_kafka_port)
        self.postgres = Postgres(folder / "postgres", settings.stack_postgres_port, schema=self.example.schema)
        avro = settings.stack_format == "avro"
        self.registry = Registry(folder / "registry", settings.stack_registry_port) if avro else None
        self.connect = Connect(
            folder / "connect",
            settings.bootstrap_servers,
            self.postgres,
            settings.stack_connect_port,
            connector=self.example.connector,
            registry=self.registry,
        )

    def start(self, server: "Server", say: Callable[[str], None], *, detached: bool) -> bool:
        """Start one server unless it runs already; return whether this call started it.

        Raises:
            StackError: it does not come up.
        """
        name, began = server.command.name, time.monotonic()
        process = server.command.find_process()
        if process is not None:
            if not server.answers():
                raise StackError(
                    f"{name} runs already, as process {process.pid}, but does not answer on port {server.port};"
                    f" {server.command.read_last_lines()}",
                    "stop it with `python -m stack down`, then start again",
                )
            say(f"{name} runs already on port {server.port}")
            return False
        say(f"{name} is starting")
        server.start(detached=detached)
        say(f"{name} answers on port {server.port} after {time.monotonic() - began:.1f} s")
        return True

    def fetch(self, say: Callable[[str], None]) -> None:
        """Fetch the Java programs that are not on this machine yet, before anything starts that would wait for them.

        Raises:
            StackError: they cannot be fetched.
        """
        if self.registry is not None and not java.find_archive(registry.COORDINATES).exists():
            say("fetching the schema registry from a Maven repository, 160 MB, only this once")
            java.fetch_archive(registry.COORDINATES)
        programs = ("Kafka", kafka.COORDINATES), ("Kafka Connect with Debezium", self.connect.coordinates)
        for name, coordinates in programs[:1] if self.polls else programs:
            if java.find_fetched(coordinates):
                continue
            began = time.monotonic()
            say(f"fetching {name} from a Maven repository, only this once")
            jars = java.fetch_jars(coordinates)
            say(f"fetched {name} in {len(jars)} files after {time.monotonic() - began:.1f} s")

    @property
    def all(self) -> tuple["Server", ...]:
        """The servers, each after those that it needs."""
        if self.polls:
            return self.kafka, self.postgres
        schemas = () if self.registry is None else (self.registry,)
        return self.kafka, self.postgres, *schemas, self.connect

    def read_status(self) -> list[ServerStatus]:
        """Return the status of each server."""
        found = []
        for server in self.all:
            process = server.command.find_process()
            answers = process is not None and server.answers()
            problem = server.find_problem() if isinstance(server, Connect) and process is not None else None
            if isinstance(server, Connect) and problem is not None:
                problem = f"{problem}\n  {explain_restart(server.url, problem)}"
            pid = process.pid if process else None
            found.append(ServerStatus(server.command.name, pid, server.port, answers, problem))
        return found


Server = Kafka | Postgres | Registry | Connect
