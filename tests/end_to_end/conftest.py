"""One whole service for all tests of this folder."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from stack.servers.connect import AVRO_COORDINATES, Connect
from stack.servers.kafka import Kafka
from stack.servers.postgres import Postgres
from tests.support.pipelines import Servers
from tests.support.service import Service, joiner_and_reader


@pytest.fixture
def stack_folder() -> Iterator[Path]:
    """Give a folder that PostgreSQL's user can reach; pytest keeps its own shut, and shuts them again for each run."""
    with TemporaryDirectory(prefix="user-information-service-") as folder:
        yield Path(folder)


@pytest.fixture(scope="package")
def servers() -> Iterator[Servers]:
    """Give PostgreSQL, Connect and Kafka, all on free ports."""
    with (
        TemporaryDirectory(prefix="user-information-service-") as name,
        nullcontext(Path(name)) as folder,
        Kafka(folder / "kafka") as kafka,
        Postgres(folder / "postgres", durable=False) as postgres,
        Connect(folder / "connect", kafka.bootstrap_servers, postgres, coordinates=AVRO_COORDINATES) as connect,
    ):
        yield Servers(kafka, postgres, connect, folder)


@pytest.fixture(scope="package")
def running_service(servers: Servers) -> Iterator[Service]:
    """Give a joiner and a reader of the servers, all on free ports."""
    with joiner_and_reader(servers.kafka, servers.folder) as ports:
        yield Service(servers.postgres.dsn, servers.postgres.port, servers.kafka.bootstrap_servers, *ports)


@pytest.fixture
def service(running_service: Service) -> Service:
    """Give the service with empty tables."""
    running_service.empty()
    return running_service
