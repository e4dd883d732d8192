"""A real Kafka: one node, broker and controller, on 127.0.0.1."""

import base64
import os
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stack.errors import StackError
from stack.ops import read_source_topic
from stack.servers import java
from stack.servers.ports import free_port
from stack.servers.process import Command, check_port
from stack.servers.properties_file import render_properties
from stack.servers.security import Security

VERSION = "4.2.1"
"""Not 4.3.0, 4.3.1 or 4.4.0: their coordinators leave a transaction open for ever in a partition that has no leader at
the moment when the transaction ends, as after a crash of its broker (KAFKA-20734)."""

COORDINATES = f"org.apache.kafka:kafka_2.13:{VERSION}+{java.LOGGING}"

SOURCE_MESSAGE_BYTES = int(read_source_topic()["max.message.bytes"])
"""The most that any topic allows: `shared.topics.SOURCE_MESSAGE_BYTES`, as the connector is configured with."""

PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(SOURCE_MESSAGE_BYTES),
    "replica.fetch.max.bytes": str(SOURCE_MESSAGE_BYTES),
    # One node holds the only copy of everything.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "8",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # How soon the transaction of a dead joiner is ended where no one restarts that joiner.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}


class Kafka:
    """A broker with its data.

    Args:
        folder: where data, settings and log are kept; a broker that is started there again continues with them.
        port: where it listens; 0 takes a free one and keeps it.
        properties: the broker's; they are added to those of this module, or replace them.
        heap: the most memory that Java takes, such as ``1g``.
        options: the Java virtual machine's other options.
        security: what it demands of its clients; None: nothing.
    """

    def __init__(  # noqa: PLR0913 - every caller names what it sets
        self,
        folder: Path,
        port: int = 0,
        properties: Mapping[str, str] | None = None,
        heap: str = "768m",
        options: Sequence[str] = java.QUIET,
        *,
        security: Security | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self.port = port or free_port()
        self._properties = {**PROPERTIES, **(properties or {})}
        self._heap = heap
        self._security = security
        self._inside = free_port() if security is not None else self.port
        self._options = options

    @property
    def bootstrap_servers(self) -> str:
        """The broker's address."""
        return f"127.0.0.1:{self.port}"

    @property
    def inside_servers(self) -> str:
        """The address without TLS and passwords: for the broker itself, and for tests."""
        return f"127.0.0.1:{self._inside}"

    @cached_property
    def command(self) -> Command:
        """The command that starts it."""
        options = (f"-Xmx{self._heap}", f"-Xms{self._heap}", *java.scratch_options(self.folder), *self._options)
        arguments = java.build_command(COORDINATES, "kafka.Kafka", str(self._settings), options=options)
        return Command("Kafka", arguments, self.folder, java.ENVIRONMENT)

    @property
    def _settings(self) -> Path:
        return self.folder / "server.properties"

    def start(self, *, detached: bool = False) -> Self:
        """Start it and wait until it answers.

        Raises:
            StackError: its port is in use, its data is of another version, or it does not start.
        """
        check_port("Kafka", self.port, "STACK_KAFKA_PORT")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_settings()
        if (self.folder / "data" / "meta.properties").exists():
            self._check_version()
        else:
            self._format()
        self.command.start(self.answers, detached=detached)
        return self

    def stop(self) -> bool:
        """Stop it as an operator would; return whether it ran."""
        return self.command.stop()

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        self.command.stop(signal.SIGKILL)

    def answers(self) -> bool:
        """Return whether it answers."""
        try:
            AdminClient({"bootstrap.servers": self.inside_servers, "log_level": 0}).list_topics(timeout=1)
        except KafkaException:
            return False
        return True

    def _write_settings(self) -> None:
        controller = free_port()
        listeners = {
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            # Seen from where the broker runs: this setting is a list, and a comma in a folder's name cannot be escaped.
            "log.dirs": "data",
        }
        if self._security is not None:
            self._security.prepare()
            secured = self._security.build_listeners(self.port, self._inside)
            listeners |= secured | {
                "listeners": f"{secured['listeners']},CONTROLLER://127.0.0.1:{controller}",
                "advertised.listeners": secured["listeners"],
            }
        properties = {**listeners, **self._properties}
        self._settings.write_bytes(render_properties(properties))

    @property
    def _version(self) -> Path:
        return self.folder / "version"

    def _check_version(self) -> None:
        # Kafka reads no data of a later version; data of 4.3.1 was written before this file existed.
        if not self._version.exists() or self._version.read_text() != VERSION:
            raise StackError(
                f"{self.folder} holds data of another version of Kafka than {VERSION}",
                "delete the stack's folder (STACK_DIR), which is then filled again, or name another folder",
            )

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # An id that begins with a dash would be read as an option.
        users = self._security.build_format_options() if self._security is not None else []
        arguments = ("format", f"--cluster-id={cluster}", "-c", str(self._settings), *users)
        done = subprocess.run(
            java.build_command(COORDINATES, "kafka.tools.StorageTool", *arguments),
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={**os.environ, **java.ENVIRONMENT},
        )
        if done.returncode != 0:
            raise StackError(f"cannot prepare Kafka's data folder {self.folder}: {done.stdout}{done.stderr}")
        self._version.write_text(VERSION)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()  # its data is not needed after the context
