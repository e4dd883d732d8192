"""The three servers of one STACK_DIR, in the order that they depend on each other."""

import time
from collections.abc import Callable
from typing import NamedTuple

from stack.connect import Connect
from stack.kafka import Kafka
from stack.postgres import Postgres
from stack.settings import StackSettings


class Condition(NamedTuple):
    """How one server is: its name, process id, port, and whether it answers."""

    name: str
    pid: int | None
    port: int
    answers: bool


class Servers:
    """Kafka, PostgreSQL and Kafka Connect.

    Args:
        settings: where their data is and on which ports they listen.
    """

    def __init__(self, settings: StackSettings) -> None:
        folder = settings.stack_dir
        self.kafka = Kafka(folder / "kafka", settings.stack_kafka_port)
        self.postgres = Postgres(folder / "postgres", settings.stack_postgres_port)
        self.connect = Connect(
            folder / "connect", settings.bootstrap_servers, self.postgres, settings.stack_connect_port
        )

    def start(self, server: "Server", say: Callable[[str], None], *, detached: bool) -> bool:
        """Start one server where it does not run yet; return whether this call started it.

        Raises:
            StackError: it does not come up.
        """
        name, began = server.command.name, time.monotonic()
        if server.command.process() is not None and server.answers():
            say(f"{name} runs already on port {server.port}")
            return False
        say(f"{name} is starting")
        server.start(detached=detached)
        say(f"{name} answers on port {server.port} after {time.monotonic() - began:.1f} s")
        return True

    @property
    def all(self) -> tuple["Server", ...]:
        """The servers, each after those that it needs."""
        return self.kafka, self.postgres, self.connect

    def conditions(self) -> list[Condition]:
        """Return how each server is."""
        found = []
        for server in self.all:
            process = server.command.process()
            answers = process is not None and server.answers()
            found.append(Condition(server.command.name, process.pid if process else None, server.port, answers))
        return found


Server = Kafka | Postgres | Connect
