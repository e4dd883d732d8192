"""What a measurement of the reader runs on: servers of its own, one population in all of them, and the services."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.errors import MeasurementError
from bench.load.cores import Cores, choose_cores, pin
from bench.load.keys import FIRST_UNKNOWN
from bench.reader import services
from bench.reader import topic as topics
from bench.reader.services import Service, get
from stack.seed import populate
from stack.servers.kafka import Kafka
from stack.servers.ports import free_port
from stack.servers.postgres import Postgres
from stack.servers.process import Command

TOPIC = "user-info"
REPLAYED = "user-info-replayed"
"""A second topic with other records: a reader that is pointed to it builds a new copy next to the one it serves."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Testbed:
    """Servers with a population in them.

    Args:
        folder: where all that is started keeps its state.
        cores: which core runs what.
        kafka: with the topic of users that the peers' database has too.
        users: how many there are.
        say: shows a line.
    """

    folder: Path
    cores: Cores
    kafka: Kafka
    users: int
    say: Say


@contextmanager
def run_testbed(users: int, say: Say) -> Iterator[Testbed]:
    """Give Kafka with a topic of users; everything is deleted afterwards."""
    cores = choose_cores()
    with tempfile.TemporaryDirectory(prefix="bench-reader-") as name:
        folder = Path(name)
        with Kafka(folder / "kafka") as kafka:
            _keep_off_the_measured_core(kafka.command, cores)
            say(f"Kafka answers on port {kafka.port}")
            yield Testbed(folder, cores, kafka, users, say)


@contextmanager
def run_postgres(testbed: Testbed) -> Iterator[Postgres]:
    """Give PostgreSQL with the users, and Kafka's topic filled from it."""
    with Postgres(testbed.folder / "postgres", durable=False) as database:
        populate(database.dsn, testbed.users)
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
        testbed.say(f"PostgreSQL has {testbed.users:,} users")
        topics.create_topic(testbed.kafka.bootstrap_servers, TOPIC)
        topics.fill_topic(testbed.kafka.bootstrap_servers, TOPIC, topics.read_postgres(database.dsn), testbed.say)
        yield database


def fill_with_invented_users(testbed: Testbed, topic: str, users: int) -> None:
    """Fill a topic with made-up users, where no peer needs a database of them."""
    topics.create_topic(testbed.kafka.bootstrap_servers, topic)
    topics.fill_topic(testbed.kafka.bootstrap_servers, topic, topics.invent_records(users), testbed.say)


@contextmanager
def run_all_services(testbed: Testbed) -> Iterator[list[Service]]:
    """Give the reader and its peers, running, warm, and with equal responses.

    Raises:
        MeasurementError: a peer's answer is not the reader's.
    """
    with ExitStack() as parts:
        database = parts.enter_context(run_postgres(testbed))
        url = f"postgresql://postgres@127.0.0.1:{database.port}/app"
        redis_port = free_port()
        cache = services.valkey_command(testbed.folder / "valkey", redis_port)
        reader = services.reader_service(testbed.folder / "reader", testbed.kafka.bootstrap_servers, TOPIC)
        _start_service(reader, testbed, parts)
        body = get(reader.port, "/users/1")[1]
        cache.start(lambda: True)
        parts.callback(cache.stop)
        peers = [
            services.constant_service(testbed.folder / "constant", body),
            services.nginx_service(testbed.folder / "nginx", body),
            services.redis_service(testbed.folder / "redis-service", redis_port, url),
            services.postgres_service(testbed.folder / "postgres-service", url),
        ]
        running = [reader, *(peer for peer in peers if peer is not None)]
        if len(running) <= len(peers):
            testbed.say("nginx is not installed (Debian package nginx-light): measuring without it")
        for peer in running[1:]:
            _start_service(peer, testbed, parts)
        for command in (database.command, cache):
            _keep_off_the_measured_core(command, testbed.cores)
        _require_equal_responses(running, testbed.users)
        yield running


def _keep_off_the_measured_core(server: Command, cores: Cores) -> None:
    process = server.find_process()
    assert process is not None  # noqa: S101 - it was just started
    pin(process.pid, cores.rest)


def _start_service(service: Service, testbed: Testbed, parts: ExitStack) -> None:
    seconds = service.start(testbed.cores)
    parts.callback(service.command.stop)
    testbed.say(f"{service.name}: ready after {seconds:.1f} s")


def _require_equal_responses(services: list[Service], users: int) -> None:
    """Compare the responses of all services that look users up, for some users and one unknown id."""
    reader, *peers = [service for service in services if service.looks_up]
    for user_id in (1, 2, users // 2, users, FIRST_UNKNOWN):
        expected = get(reader.port, f"/users/{user_id}")
        for peer in peers:
            status, body = get(peer.port, f"/users/{user_id}")
            if status != expected[0] or (status == 200 and body != expected[1]):
                raise MeasurementError(
                    f"{peer.name} answers {status} {body!r} for user {user_id}, the reader {expected}"
                )
