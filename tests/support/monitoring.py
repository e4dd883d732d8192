"""Prometheus, Alertmanager and an exporter as processes: the shipped configuration, on ports and folders of a test."""

import json
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

import httpx
import yaml
from psycopg.conninfo import make_conninfo

from stack.servers.ports import free_port
from stack.servers.process import Command
from tests.support.alert_rules import ALERTMANAGER, PROMETHEUS
from tests.support.http_client import get
from tests.support.system_programs import ALERTMANAGER_SERVER, POSTGRES_EXPORTER, PROMETHEUS_SERVER, require

Jobs = Mapping[str, Sequence[int]]
"""Job of Prometheus' configuration -> the ports of 127.0.0.1 that it asks."""


class Server:
    """A program with a page that answers once it works.

    Args:
        name: what people call it.
        arguments: the program and its arguments.
        folder: where it keeps its data and log.
        page: the URL that answers.
        environment: added to this process's own.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], folder: Path, page: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.command = Command(name, arguments, folder, environment or {})
        self._page = page

    def __enter__(self) -> Self:
        """Start it and wait until it answers."""
        self.command.start(self._answers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.command.stop()

    def _answers(self) -> bool:
        try:
            return get(self._page, timeout=2).is_success
        except httpx.TransportError:
            return False


def prometheus(folder: Path, jobs: Jobs, alertmanager: int, port: int) -> Server:
    """Return a Prometheus with the shipped configuration, but these targets."""
    settings = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    settings["rule_files"] = [str(PROMETHEUS / "rules" / "*.yml")]
    settings["alerting"]["alertmanagers"] = [{"static_configs": targets([alertmanager])}]
    assert jobs.keys() == {job["job_name"] for job in settings["scrape_configs"]}
    for job in settings["scrape_configs"]:
        job["static_configs"] = targets(jobs[job["job_name"]])
    file = write_configuration(folder, "prometheus.yml", settings)
    flags = (f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}")
    listening = f"--web.listen-address=127.0.0.1:{port}"
    arguments = [require(PROMETHEUS_SERVER), *flags, listening]
    return Server("Prometheus", arguments, folder, f"http://127.0.0.1:{port}/-/ready")


def alertmanager(folder: Path, webhook: str, port: int) -> Server:
    """Return an Alertmanager with the shipped configuration, but every message sent to one address."""
    settings = yaml.safe_load(ALERTMANAGER.read_text())
    settings["global"] = {name: value for name, value in settings["global"].items() if not name.startswith("smtp")}
    for receiver in settings["receivers"]:
        receiver.pop("email_configs", None)
        receiver["webhook_configs"] = [{"url": f"{webhook}/{receiver['name']}", "send_resolved": True}]
    file = write_configuration(folder, "alertmanager.yml", settings)
    flags = (f"--config.file={file}", f"--storage.path={folder / 'data'}", "--cluster.listen-address=")
    listening = f"--web.listen-address=127.0.0.1:{port}"
    arguments = [require(ALERTMANAGER_SERVER), *flags, listening]
    return Server("Alertmanager", arguments, folder, f"http://127.0.0.1:{port}/-/ready")


def postgres_exporter(folder: Path, dsn: str, port: int) -> Server:
    """Return the exporter of one PostgreSQL's metrics."""
    arguments = [require(POSTGRES_EXPORTER), f"--web.listen-address=127.0.0.1:{port}"]
    source = {"DATA_SOURCE_NAME": make_conninfo(dsn, sslmode="disable")}
    return Server("PostgreSQL's exporter", arguments, folder, f"http://127.0.0.1:{port}/metrics", source)


def targets(ports: Sequence[int]) -> list[dict[str, list[str]]]:
    """Return ports of this machine as Prometheus' configuration names them."""
    return [{"targets": [f"127.0.0.1:{port}" for port in ports]}]


def write_configuration(folder: Path, name: str, settings: object) -> Path:
    """Write a configuration into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(yaml.safe_dump(settings))
    return folder / name


class Webhook:
    """What Alertmanager's messages are sent to: keeps each alert of each, with the receiver that it was for."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []
        kept = self.alerts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                kept.extend({**alert, "receiver": message["receiver"]} for alert in message["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Listen."""
        Thread(target=self._server.serve_forever, name="webhook", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

    def names(self, status: str, receiver: str = "pager") -> set[str]:
        """Return the alerts that a receiver has been sent, as `firing` or as `resolved`."""
        found = [alert for alert in list(self.alerts) if (alert["status"], alert["receiver"]) == (status, receiver)]
        return {alert["labels"]["alertname"] for alert in found}

    def forget(self) -> None:
        """Keep nothing of what came so far."""
        self.alerts.clear()
