"""`python -m bench poller`: rows a second, and the database's and the poller's processor time while nothing changes."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import click
import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from bench.errors import MeasurementError
from bench.results import describe_machine, to_table
from poller.tables import installation
from shared.view.model import BUILT_IN
from stack.seed import FOLLOWS_PER_USER, LIKES_PER_USER, TWEETS_PER_USER, populate
from stack.servers.kafka import Kafka
from stack.servers.ports import free_port
from stack.servers.postgres import Postgres
from stack.tiers import Tier

ROWS_PER_USER = 1 + TWEETS_PER_USER + FOLLOWS_PER_USER + LIKES_PER_USER

START_SECONDS = 900.0


class Use(NamedTuple):
    """What was used up to a moment: polls, their seconds, processor seconds of PostgreSQL and of the poller."""

    at: float
    polls: float
    poll_seconds: float
    postgres_seconds: float
    poller_seconds: float


@click.command()
@click.option("--rows", type=click.IntRange(min=100), default=1_000_000, show_default=True, help="In all four tables.")
@click.option(
    "--seconds", type=click.IntRange(min=5), default=30, show_default=True, help="Of each measurement at rest."
)
def poller(rows: int, seconds: int) -> None:
    """How fast tables are read, and what polling and comparing keys cost a database in which nothing changes."""
    results: list[dict[str, object]] = []
    with TemporaryDirectory(prefix="bench-poller-") as name, Kafka(Path(name) / "kafka") as kafka:
        Path(name).chmod(0o755)
        with Postgres(Path(name) / "postgres") as postgres:
            written = populate(postgres.dsn, round(rows / ROWS_PER_USER))
            postgres.execute([*installation(BUILT_IN), "VACUUM ANALYZE"])
            for compare in (0.0, 5.0):
                folder = Path(name) / f"compare-{compare:g}"
                with _run(kafka, postgres, folder, compare) as (port, tier):
                    began = time.monotonic()
                    _await_ready(port, tier)
                    took = time.monotonic() - began
                    results.append(_rest(port, tier, postgres, seconds, compare) | {"ready after s": round(took, 1)})
                    results[-1]["rows/s, first time"] = round(written / took)
    click.echo(f"{to_table(results)}\n\n{written:,} rows; polled every 0.5 s; {describe_machine()}.")


@contextmanager
def _run(kafka: Kafka, postgres: Postgres, folder: Path, compare: float) -> Iterator[tuple[int, "Tier"]]:
    port = free_port()
    folder.mkdir()
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "POLLER_POSTGRES_DSN": postgres.dsn,
        "POLLER_STATE_DIR": str(folder),
        "POLLER_COMPARE_SECONDS": str(compare),
        "POLLER_HTTP_PORT": str(port),
        # Each has topics of its own, so that both read all rows.
        **{f"{source.table.upper()}_TOPIC": f"{folder.name}-{source.table}" for source in BUILT_IN.sources},
    }
    tier = Tier("poller", settings, folder / "log", lambda line: click.echo(line, file=sys.stderr))
    try:
        yield port, tier
    finally:
        tier.stop()


def _await_ready(port: int, tier: Tier) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        tier.check()
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise MeasurementError(f"the poller is not ready after {START_SECONDS:g} s")


def _rest(port: int, tier: Tier, postgres: Postgres, seconds: int, compare: float) -> dict[str, object]:
    """Return what a database costs in which nothing changes."""
    before = _read_use(port, tier, postgres)
    time.sleep(seconds)
    after = _read_use(port, tier, postgres)
    elapsed, polls = after.at - before.at, after.polls - before.polls
    return {
        "keys compared": "never" if not compare else f"every {compare:g} s or slower",
        "ms a poll": round((after.poll_seconds - before.poll_seconds) / max(polls, 1) * 1000, 2),
        "PostgreSQL, % of a core": round((after.postgres_seconds - before.postgres_seconds) / elapsed * 100, 2),
        "poller, % of a core": round((after.poller_seconds - before.poller_seconds) / elapsed * 100, 2),
        "s a comparison": round(_read_metrics(port)["poller_comparison_seconds"], 2),
    }


def _read_use(port: int, tier: Tier, postgres: Postgres) -> Use:
    metrics = _read_metrics(port)
    server = postgres.command.find_process()
    if server is None:
        raise MeasurementError("PostgreSQL has ended")
    family = [server, *server.children()]
    return Use(
        time.monotonic(),
        metrics["poller_poll_seconds_count"],
        metrics["poller_poll_seconds_sum"],
        sum(_cpu_seconds(process) for process in family),
        _cpu_seconds(psutil.Process(tier.pid)),
    )


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _read_metrics(port: int) -> dict[str, float]:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    return {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}
