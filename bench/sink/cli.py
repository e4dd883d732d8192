"""`python -m bench sink`: rows a second into PostgreSQL and Redis, and what the direct way counts when killed."""

import random
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import orjson

from bench.errors import MeasurementError
from bench.reader.services import get, valkey_command
from bench.reader.topic import Record, create_topic, fill_topic, invent_records
from bench.results import ProgressPrinter, describe_machine, to_table, write_results
from bench.sink.stores import MeasuredPostgres, MeasuredRedis, MeasuredStore
from stack.servers.kafka import Kafka
from stack.servers.ports import free_port
from stack.servers.postgres import Postgres
from stack.servers.process import Command

USERS, LIKES = "user-info", "likes"
SECONDS = 900.0


@click.command()
@click.option("--records", default=100_000, show_default=True, help="Users of user-info, and rows of likes.")
@click.option("--kills", default=3, show_default=True, help="SIGKILLs of the direct way's consumer while it counts.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder for the results as JSON.")
def sink(records: int, kills: int, output: Path | None) -> None:
    """Fill PostgreSQL and Redis from Kafka with the sinks, beside a consumer that raises counters itself.

    The consumer is killed while it counts, and started again; what it has counted too often or too rarely is its error.
    The sinks' own kills are a test: SINK_KILLS=20 with tests/broker/test_sinks.py.
    """
    say = ProgressPrinter()
    with TemporaryDirectory(prefix="user-information-service-") as name, Kafka(Path(name) / "kafka") as kafka:
        folder, servers = Path(name), kafka.bootstrap_servers
        for topic, rows in ((USERS, invent_records(records)), (LIKES, _invent_likes(records))):
            create_topic(servers, topic)
            fill_topic(servers, topic, rows, say)
        port = free_port()
        (folder / "valkey").mkdir()
        valkey = valkey_command(folder / "valkey", port, "--appendonly", "yes")
        with Postgres(folder / "postgres") as postgres:
            valkey.start(lambda: _accepts(port))
            url = f"redis://127.0.0.1:{port}/0"
            stores: list[MeasuredStore] = [
                MeasuredPostgres(postgres.dsn),
                MeasuredRedis(url, "hash"),
                MeasuredRedis(url, "string"),
            ]
            found = [row for store in stores for row in _measure(store, servers, folder, records, kills)]
            valkey.stop()
    click.echo(f"{records:,} records; {describe_machine()}\n\n{to_table(found)}")
    if output is not None:
        click.echo(f"written to {write_results(output, 'sink', {'rows': found})}")


def _measure(store: MeasuredStore, servers: str, folder: Path, records: int, kills: int) -> Iterator[dict[str, object]]:
    store.empty()
    seconds = _fill(store, servers, folder)
    yield {"way": f"sink, {store.name}", "rows/s": records / seconds, "killed": 0, "error": 0}
    if store.name.endswith("string"):
        return  # the direct way counts in hashes alone
    for number in (0, kills):
        store.empty()
        seconds, error = _count(store, servers, folder, records, number)
        yield {"way": f"direct, {store.name}", "rows/s": records / seconds, "killed": number, "error": error}


def _fill(store: MeasuredStore, servers: str, folder: Path) -> float:
    """Run a sink until it has all of the topic; return the seconds that took, its start included."""
    port = free_port()
    settings = {"KAFKA_BOOTSTRAP_SERVERS": servers, "SINK_HTTP_PORT": str(port), **store.settings}
    command = _command("the sink", folder / f"sink-{port}", settings, "sink", store.kind)
    began = time.monotonic()
    command.start(lambda: get(port, "/readyz")[0] == 200, seconds=SECONDS)
    seconds = time.monotonic() - began
    command.stop()
    return seconds


def _count(store: MeasuredStore, servers: str, folder: Path, rows: int, kills: int) -> tuple[float, int]:
    """Run the direct way until nothing moves; return the seconds that took, and by how much its counters are off."""
    chance = random.Random(kills)
    group = f"direct-{store.kind}-{time.time_ns()}"
    began = moved_at = time.monotonic()
    counted = left = 0
    kill_at = sorted((chance.uniform(0.1, 0.9) * rows for _ in range(kills)), reverse=True)
    while time.monotonic() - moved_at < 15:  # longer than a group takes to miss the member that was killed
        command = _command(
            "the consumer",
            folder / f"direct-{group}-{left}",
            {},
            "bench.sink.direct",
            servers,
            LIKES,
            group,
            store.kind,
            store.where,
        )
        command.start(lambda: True)
        while time.monotonic() - moved_at < 15:
            now = store.count_likes()
            if now != counted:
                counted, moved_at = now, time.monotonic()
            if kill_at and counted >= kill_at[-1]:
                kill_at.pop()
                break
            time.sleep(0.02)
        left += 1
        process = command.find_process()
        if process is not None:
            process.kill()
        with suppress(OSError):
            command.stop()
        if moved_at - began > SECONDS:
            raise MeasurementError("the direct way does not come to an end", "take fewer --records")
    return moved_at - began, counted - rows


def _command(name: str, folder: Path, settings: dict[str, str], *words: str) -> Command:
    folder.mkdir(parents=True, exist_ok=True)
    root = str(Path(__file__).parents[2])
    return Command(name, (sys.executable, "-m", *words), folder, {**settings, "PYTHONPATH": root})


def _invent_likes(rows: int) -> Iterable[Record]:
    chance = random.Random(1)
    for row in range(rows):
        value = {"like_id": row, "user_id": int(rows / 20 * chance.random() ** 4)}
        yield b"%d" % row, orjson.dumps(value)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
