"""A whole service, watched as a deployment would be: by Prometheus, Alertmanager and a webhook."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from stack.servers import java
from stack.servers.connect import Connect
from stack.servers.kafka import Kafka
from stack.servers.ports import free_port
from stack.servers.postgres import HEARTBEATS, Postgres
from tests.support.http_client import get
from tests.support.joiners import Joiner
from tests.support.monitoring import Jobs, Webhook, alertmanager, postgres_exporter, prometheus
from tests.support.programs import ROOT
from tests.support.readers import Reader

AGENT = "io.prometheus.jmx:jmx_prometheus_javaagent:1.0.1"


@dataclass(frozen=True)
class Site:
    """A service that runs, and the servers that watch it.

    Args:
        kafka: its broker.
        postgres: its database.
        connect: its connector.
        joiner: its only joiner.
        readers: its readers.
        jobs: the ports that Prometheus reads, by job.
        prometheus: Prometheus' address.
        webhook: where alerts arrive.
    """

    kafka: Kafka
    postgres: Postgres
    connect: Connect
    joiner: Joiner
    readers: list[Reader]
    jobs: Jobs
    prometheus: str
    webhook: Webhook

    def sql(self, statement: str) -> None:
        """Run one statement in the database."""
        with psycopg.connect(self.postgres.dsn) as connection:
            connection.execute(statement.encode())

    def answers(self, user_id: int) -> bool:
        """Say whether every reader knows a user."""
        urls = [f"http://127.0.0.1:{port}/users/{user_id}" for port in self.jobs["reader"]]
        return all(get(url).status_code == httpx.codes.OK for url in urls)

    def metrics(self, job: str) -> str:
        """Return what the processes of a job say of themselves."""
        return "".join(get(f"http://127.0.0.1:{port}/metrics", timeout=10).text for port in self.jobs[job])

    def firing(self) -> set[str]:
        """Return the alerts that fire, by name."""
        answer = get(f"{self.prometheus}/api/v1/alerts").json()
        return {alert["labels"]["alertname"] for alert in answer["data"]["alerts"] if alert["state"] == "firing"}


@contextmanager
def run_site(folder: Path) -> Iterator[Site]:
    """Run a whole service on free ports, with Prometheus and Alertmanager.

    Args:
        folder: for all data and logs; PostgreSQL's user can reach it.
    """
    with ExitStack() as parts:
        jobs = {
            "reader": [free_port(), free_port()],
            "joiner": [free_port()],
            "connect": [free_port()],
            "postgres": [free_port()],
        }
        kafka = parts.enter_context(Kafka(folder / "kafka"))
        postgres = parts.enter_context(Postgres(folder / "postgres", durable=False))
        agent = f"-javaagent:{java.fetch_jars(AGENT)[0]}=127.0.0.1:{jobs['connect'][0]}:{ROOT / 'ops/connect/jmx.yml'}"
        connect = Connect(folder / "connect", kafka.bootstrap_servers, postgres, options=[agent])
        parts.enter_context(connect)
        address = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
        own = {"JOINER_HTTP_PORT": str(jobs["joiner"][0]), "HEARTBEATS_TOPIC": HEARTBEATS}
        joiner = Joiner(address, folder / "joiner", **own)
        readers = [Reader(address, folder / f"reader-{port}", READER_PORT=str(port)) for port in jobs["reader"]]
        for tier in (joiner, *readers):
            parts.enter_context(tier).wait_until_ready()
        parts.enter_context(postgres_exporter(folder / "exporter", postgres.dsn, jobs["postgres"][0]))
        webhook = parts.enter_context(Webhook())
        ports = free_port(), free_port()
        parts.enter_context(alertmanager(folder / "alertmanager", webhook.url, ports[0]))
        parts.enter_context(prometheus(folder / "prometheus", jobs, *ports))
        yield Site(kafka, postgres, connect, joiner, readers, jobs, f"http://127.0.0.1:{ports[1]}", webhook)
