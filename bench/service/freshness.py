"""Freshness from PostgreSQL's commit to every reader's answer, by heartbeats and by rows made for the purpose."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import httpx

from bench.errors import MeasurementError
from bench.joiner import processes
from bench.results import ProgressPrinter, describe_machine, percentile, to_table, write_results
from bench.service.probes import CountProbe, HeartbeatProbe, TweetWriter, count_seconds_above
from stack.seed import populate
from stack.servers.connect import Connect
from stack.servers.kafka import Kafka
from stack.servers.ports import free_port
from stack.servers.postgres import HEARTBEATS, Postgres
from stack.servers.process import Command
from stack.traffic import Traffic

RESULTS = Path(".local/bench")
PATIENCE_SECONDS = 180.0
SETTLE_SECONDS = 5.0
OUTAGE_AFTER_SECONDS = 15.0
AFTER_SECONDS = 30.0
SCRAPE_SECONDS = 1.0
LIMIT_SECONDS = 10.0


@dataclass
class RunningService:
    """What is measured: servers, a joiner, readers."""

    dsn: str
    joiner: Command
    ports: list[int]


@click.command()
@click.option("--rate", default=100.0, show_default=True, help="Changes a second, besides the probe's five.")
@click.option("--seconds", default=300.0, show_default=True, help="How long it is watched.")
@click.option("--readers", default=2, show_default=True, type=click.IntRange(min=1), help="Readers.")
@click.option("--users", default=1_000, show_default=True, help="Users to begin with; their rows come with them.")
@click.option("--outage", default=0.0, help="Stop the joiner for so many seconds in between, and see who notices.")
def freshness(rate: float, seconds: float, readers: int, users: int, outage: float) -> None:
    """Seconds from a commit in PostgreSQL until every reader shows it, by heartbeats and by asking."""
    progress = ProgressPrinter()
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as scratch,
        run_service(Path(scratch), readers, users, progress) as service,
    ):
        tweets = TweetWriter(service.dsn)
        probes = [CountProbe(port, tweets) for port in service.ports]
        heartbeats = [HeartbeatProbe(port) for port in service.ports]
        traffic = Traffic(service.dsn, rate, lambda _: None)
        with traffic, ExitStack() as watching:
            for watcher in (tweets, *probes, *heartbeats):
                watching.enter_context(watcher)
            began = time.time() + SETTLE_SECONDS
            if outage:
                _stop_and_restart(service.joiner, outage, progress)
            else:
                _wait(SETTLE_SECONDS + seconds, progress)
            traffic.check()
    broken = [str(watcher.error) for watcher in (tweets, *probes, *heartbeats) if watcher.error is not None]
    if broken:
        raise MeasurementError(f"the measurement broke off: {broken[0]}")
    rows = [
        row
        for number, (probe, beats) in enumerate(zip(probes, heartbeats, strict=True), 1)
        for row in (
            _to_row(f"reader {number}, rows by asking", _values_since(probe.latencies, began), probe.ages),
            _to_row(f"reader {number}, heartbeats as they come", _values_since(beats.arrivals, began), beats.ages),
            _to_row(f"reader {number}, age of the newest heartbeat", _values_since(beats.ages, began), beats.ages),
        )
    ]
    click.echo(f"{to_table(rows)}\n\n{rate:g} changes/s, {readers} readers, {describe_machine()}")
    name = "freshness-outage" if outage else "freshness"
    click.echo(f"\n{write_results(RESULTS, name, {'rate': rate, 'rows': rows})}")


def _values_since(samples: list[tuple[float, float]], began: float) -> list[float]:
    return [value for when, value in samples if when >= began]


def _to_row(name: str, seconds: list[float], ages: list[tuple[float, float]]) -> dict[str, object]:
    if not seconds:
        raise MeasurementError(f"{name}: nothing was seen")
    named = {f"p{p} s": round(percentile(seconds, p), 3) for p in (50, 95)}
    above = count_seconds_above(ages, LIMIT_SECONDS, SCRAPE_SECONDS)
    return {
        "by": name,
        "samples": len(seconds),
        **named,
        "max s": round(max(seconds), 3),
        "s above 10": round(above, 1),
    }


def _wait(seconds: float, progress: ProgressPrinter) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        progress(f"watching for {until - time.monotonic():.0f} s more")
        time.sleep(1)


def _stop_and_restart(joiner: Command, seconds: float, progress: ProgressPrinter) -> None:
    """Stop the joiner, start it again later, and watch until it has settled."""
    _wait(OUTAGE_AFTER_SECONDS, progress)
    joiner.stop()
    _wait(seconds, progress)
    joiner.start(lambda: True)
    _wait(AFTER_SECONDS, progress)


@contextmanager
def run_service(folder: Path, readers: int, users: int, progress: ProgressPrinter) -> Iterator[RunningService]:
    """Run servers with a population in them, a joiner and readers; all caught up, and heartbeats coming."""
    with ExitStack() as parts:
        progress("starting Kafka, PostgreSQL and Connect", last=True)
        kafka = parts.enter_context(Kafka(folder / "kafka"))
        postgres = parts.enter_context(Postgres(folder / "postgres"))
        populate(postgres.dsn, users)
        parts.enter_context(Connect(folder / "connect", kafka.bootstrap_servers, postgres))
        joiner = processes.joiner_command(0, kafka.bootstrap_servers, "", folder, HEARTBEATS_TOPIC=HEARTBEATS)
        ports = [free_port() for _ in range(readers)]
        commands = [
            joiner,
            *(_reader_command(number, kafka.bootstrap_servers, folder, port) for number, port in enumerate(ports)),
        ]
        for command in commands:
            parts.callback(command.stop)
            processes.start(command)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all(_shows_heartbeats(port) for port in ports):
            for command in commands:
                command.check()
            if time.monotonic() > deadline:
                raise MeasurementError("no heartbeat has come through to every reader")
            time.sleep(0.2)
        yield RunningService(postgres.dsn, joiner, ports)


def _reader_command(number: int, bootstrap_servers: str, folder: Path, port: int) -> Command:
    place = folder / f"reader-{number}"
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "READER_STATE_DIR": str(place / "state"),
        "READER_PORT": str(port),
    }
    return Command(f"reader {number}", (sys.executable, "-m", "reader"), place, environment)


def _shows_heartbeats(port: int) -> bool:
    try:
        return "\nreader_heartbeat_age_seconds " in httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    except httpx.TransportError:
        return False
