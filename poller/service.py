"""The poller as a process: its lock, its start, and one poll after the other until it is told to stop.

Guarantees that no poll begins on a state that does not belong to the database and the topics. One that has run once
waits for both as long as it takes.
"""

import hashlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from poller.database import Database
from poller.health import Health
from poller.metrics import Metrics
from poller.polling import Parts, Poller
from poller.publisher import Publisher
from poller.settings import PollerSettings
from poller.start import fit_database, fit_tables, fit_topics
from poller.state import State
from poller.tables import Table
from poller.topics import REQUEST_SECONDS, prepare_topics
from shared import lock, logs
from shared.errors import AlreadyRunning, Interrupted
from shared.health import serve_health
from shared.kafka import check_credentials, filter_known_properties

logger = logging.getLogger(__name__)

RETRY_SECONDS = 2.0

CHECK_SECONDS = 30.0
"""How often is checked whether the tables are still as they were."""


class _TablesChangedError(Exception):
    """A table has other columns now."""


@dataclass(frozen=True, slots=True)
class _Process:
    """What lasts as long as the process.

    Args:
        settings: the poller's.
        client: where Kafka is and how to reach it, as librdkafka's properties.
        state: what is kept on disk.
        health: shown over HTTP, as metrics are.
        metrics: what is counted.
        stopping: set when the poller shall end.
    """

    settings: PollerSettings
    client: Mapping[str, str]
    state: State
    health: Health
    metrics: Metrics
    stopping: threading.Event


def run(settings: PollerSettings) -> None:
    """Poll until told to stop.

    Raises:
        UserInformationError: the poller cannot run; its hint says what to do.
        psycopg.Error, KafkaException: the database or Kafka does not answer at the first start.
    """
    logs.configure(settings.log_level, settings.log_format)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    properties = filter_known_properties(settings.kafka_properties, AdminClient)
    servers = settings.kafka_bootstrap_servers
    client = {"bootstrap.servers": servers, **check_credentials(servers, properties, AdminClient)}
    held = lock.acquire(settings.poller_state_dir / "lock", f"POLLER_STATE_DIR={settings.poller_state_dir}")
    health, metrics = Health(), Metrics()
    metrics.ready.set_function(lambda: health.ready)
    if settings.poller_http_port:
        serve_health(health.respond, metrics.text, settings.http_endpoint)
    with closing(State(settings.poller_state_dir)) as state:
        _run_until_stopped(_Process(settings, client, state, health, metrics, stopping))
    logger.info("stopped")
    held.close()


def _run_until_stopped(process: _Process) -> None:
    """Poll, and go on from the state where the database or Kafka broke it off."""
    has_run = False
    while not process.stopping.is_set():
        try:
            with _open(process) as (poller, check):
                has_run = True
                _poll(process, poller, check)
        except _TablesChangedError:
            logger.warning("a table has other columns now")
        except (psycopg.Error, KafkaException, Interrupted, AlreadyRunning) as error:
            if not has_run:
                raise
            said = str(error.args[0].str() if isinstance(error, KafkaException) else error).strip()
            logger.warning("%s; going on from what Kafka has committed", said)
            process.health.enter("waiting", said)
            process.metrics.restarts.inc()
            process.stopping.wait(RETRY_SECONDS)


@contextmanager
def _open(process: _Process) -> Iterator[tuple[Poller, Callable[[], None]]]:
    """Give a poller that continues from the state, and what checks that the tables are still as they were.

    First the lock, then Kafka: once this poller's name has begun there, no other one writes.

    Raises:
        UserInformationError: the state, the database and the topics do not fit together.
        psycopg.Error, KafkaException: the database or Kafka does not answer.
    """
    settings, state = process.settings, process.state
    admin = AdminClient(dict(process.client))
    cluster = admin.list_topics(timeout=REQUEST_SECONDS).cluster_id
    topics = prepare_topics(admin, settings)
    with Database(settings.poller_postgres_dsn, settings.poller_name) as database:
        database.lock(_number(f"{cluster}/{settings.poller_name}"))
        publisher = Publisher(process.client, settings.poller_name, state.writer)

        def read_tables() -> list[Table]:
            return database.read_tables(settings.sources, settings.poller_deleted_where)

        tables = read_tables()
        fit_topics(state, topics, process.client)
        with database.snapshot() as snapshot:
            fit_database(state, database.read_identity(), snapshot.following)
        for table in fit_tables(state, tables):
            process.metrics.beginnings.labels(table.source.table).inc()

        def check() -> None:
            if read_tables() != tables:
                raise _TablesChangedError

        parts = Parts(database, publisher, state, process.health, process.metrics, process.stopping.is_set)
        process.health.enter("reading", "rows that are there already")
        yield Poller(parts, tables, settings.poller_compare_seconds, settings.heartbeats_topic), check


def _poll(process: _Process, poller: Poller, check: Callable[[], None]) -> None:
    check_at = time.monotonic() + CHECK_SECONDS
    while not process.stopping.is_set():
        poller.poll()
        process.stopping.wait(process.settings.poller_interval_seconds)
        if time.monotonic() >= check_at:
            check()
            check_at = time.monotonic() + CHECK_SECONDS


def _number(name: str) -> int:
    """Return the number of the lock of a name, a signed integer of 64 bits."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
