"""`python -m bench shards`: what a shard costs beside a reader of all users, and what the proxy adds to a read."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from bench import results
from bench.disk import measure_folder
from bench.errors import MeasurementError
from bench.load.open_loop import OpenLoad
from bench.reader import services
from bench.reader.observed_load import run_observed
from bench.reader.runs import summarize
from bench.reader.services import Service
from bench.reader.starts import take_snapshot
from bench.reader.testbed import TOPIC, Testbed, fill_with_invented_users, run_testbed
from bench.reader.topic import PARTITIONS
from stack.proxy import INSTALL, Proxy, find_haproxy
from stack.servers.ports import free_port


@click.command()
@click.option("--users", default=1_000_000, show_default=True, help="Users, of records of about 400 bytes.")
@click.option("--shards", "count", default=2, show_default=True, help="Readers that share them.")
@click.option("--rate", default=1000.0, show_default=True, help="Requests a second.")
@click.option("--seconds", default=20.0, show_default=True, help="How long each latency is measured.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".local/bench"),
    show_default=True,
    help="Folder that the results go to, as shards.json.",
)
def shards(users: int, count: int, rate: float, seconds: float, output: Path) -> None:
    """Compare readers that share the users, behind HAProxy, with one that holds them all and is asked directly.

    All readers run on one core, the proxy and the load on the others. Each answer is compared with what was asked for.
    """
    began = time.monotonic()
    program = find_haproxy()
    if program is None:
        raise MeasurementError("HAProxy is not installed", hint=INSTALL)

    def say(line: str) -> None:
        click.echo(f"{time.monotonic() - began:6.1f} s  {line}")

    rows, latencies = [], []
    with run_testbed(users, say) as testbed:
        fill_with_invented_users(testbed, TOPIC, users)
        with ExitStack() as parts:
            whole, row = _start(testbed, "all users", parts)
            rows.append(row)
            latencies.append(_measure(whole, testbed, "a reader of all users, directly", rate, seconds))
        with ExitStack() as parts:
            readers = []
            for number in range(count):
                reader, row = _start(testbed, f"{number}/{count}", parts, READER_SHARD=f"{number}/{count}")
                readers.append([f"127.0.0.1:{reader.port}"])
                rows.append(row)
            proxy = Proxy(program, testbed.folder / "proxy", free_port(), PARTITIONS, readers)
            parts.callback(proxy.stop)
            proxy.start()
            behind = Service("HAProxy", proxy.command, proxy.port)
            latencies.append(_measure(behind, testbed, f"{count} shards, through the proxy", rate, seconds))
    file = results.write_results(output, "shards", {"users": users, "readers": rows, "latencies": latencies})
    click.echo(f"\n{results.to_table(rows)}\n\nwritten to {file}")


def _start(testbed: Testbed, name: str, parts: ExitStack, **settings: str) -> tuple[Service, dict[str, Any]]:
    """Start a reader from nothing; return it, and what it took and holds."""
    folder = testbed.folder / f"reader-{name.replace('/', '-of-')}"
    reader = services.reader_service(folder, testbed.kafka.bootstrap_servers, TOPIC, **settings)
    parts.callback(reader.command.stop)
    ready_seconds = reader.start(testbed.cores)
    held = services.read_readiness(reader.port)["applied"]
    assert isinstance(held, int)  # noqa: S101 - it is ready
    resident, own = reader.memory()
    snapshot = take_snapshot(reader, testbed.folder / f"snapshot-{folder.name}")
    row = {
        "holds": name,
        "offsets": held,
        "ready after s": ready_seconds,
        "offsets/s": held / ready_seconds,
        "disk MB": measure_folder(folder / "state") / 1e6,
        "memory MB": resident / 1e6,
        "its own MB": own / 1e6,
        "snapshot s": snapshot,
    }
    testbed.say(f"a reader of {name}: ready after {ready_seconds:.2f} s, snapshot in {snapshot:.1f} s")
    return reader, row


def _measure(service: Service, testbed: Testbed, name: str, rate: float, seconds: float) -> dict[str, Any]:
    load = OpenLoad(service.port, rate, seconds, testbed.users)
    found = run_observed(service, load, testbed.cores)
    testbed.say(f"{name}: {summarize(found)}")
    return {"name": name, **found}
