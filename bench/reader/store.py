"""`python -m bench store`: what taking in batches costs an event loop of the same process, by size and syncing."""

import asyncio
import gc
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click

from reader.http.server import choose_loop_factory
from reader.storage.store import Store
from replication.records import Record

TICK_SECONDS = 0.001
BODY = b"x" * 380
PARTITIONS = 8
SYNCS = ("each batch", "every 5 s", "never")


class Run(NamedTuple):
    """What one run found: records a second, and how late the event loop was, in ms, sorted."""

    per_second: float
    late_ms: list[float]


@click.command()
@click.option("--records", default=300_000, show_default=True, help="Records of 380 bytes, of as many users.")
@click.option(
    "--batch", "batches", multiple=True, default=(100, 500, 5_000), show_default=True, help="Records at once."
)
@click.option(
    "--sync", "syncs", multiple=True, default=SYNCS, type=click.Choice(SYNCS), help="When the disk is waited for."
)
@click.option("--core", type=int, help="Have all of it on this core.")
def store(records: int, batches: tuple[int, ...], syncs: tuple[str, ...], core: int | None) -> None:
    """Take records in as fast as the store does, in a thread, and see how late a clock of 1 ms in the event loop is.

    At each tick one record is looked up. There is no Kafka and no HTTP in this.
    """
    if core is not None:
        os.sched_setaffinity(0, {core})
    gc.collect()
    gc.freeze()
    click.echo(
        "| records in a batch | synced | records/s | p50 ms | p95 | p99 | p99.9 | max |\n| ---: | --- "
        + "| ---: " * 6
        + "|"
    )
    for batch in batches:
        for sync in syncs:
            found = asyncio.Runner(loop_factory=choose_loop_factory()).run(_measure(records, batch, sync))
            late = found.late_ms
            shares = [late[int(share * len(late))] for share in (0.5, 0.95, 0.99, 0.999)]
            figures = " | ".join(f"{ms:.2f}" for ms in (*shares, late[-1]))
            click.echo(f"| {batch:,} | {sync} | {found.per_second:,.0f} | {figures} |")


async def _measure(records: int, batch: int, sync: str) -> Run:
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-store-") as folder:
        kept = Store(Path(folder))
        taken: list[float] = []
        thread = threading.Thread(target=lambda: taken.append(apply_all(kept, records, batch, sync)))
        thread.start()
        late = await _measure_lateness(kept, thread.is_alive)
        thread.join()
        kept.close()
    return Run(records / taken[0], sorted(late))


def apply_all(kept: Store, records: int, batch: int, sync: str) -> float:
    """Write so many records of made-up users, in no order, and return how many seconds it took.

    Args:
        kept: what they are written to.
        records: how many; their users are called 0, 1 and so on.
        batch: how many at once.
        sync: one of SYNCS, when the disk is waited for.
    """
    keys = [b"%d" % number for number in range(records)]
    random.Random(1).shuffle(keys)
    began = synced = time.perf_counter()
    for first in range(0, records, batch):
        numbers = range(first, min(first + batch, records))
        kept.apply(
            [Record(keys[number], BODY, number % PARTITIONS, number, 0) for number in numbers],
            dict.fromkeys(range(PARTITIONS), first + batch),
        )
        if sync == "each batch" or (sync == "every 5 s" and time.perf_counter() - synced > 5):
            kept.sync()
            synced = time.perf_counter()
    return time.perf_counter() - began


async def _measure_lateness(kept: Store, is_running: Callable[[], bool]) -> list[float]:
    """Return how late each tick was, from the moment that it was due, in ms."""
    late = []
    due = time.perf_counter()
    while is_running():
        due += TICK_SECONDS
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        view = kept.view()
        view.find(b"77")
        view.close()
        late.append(1000 * (time.perf_counter() - due))
    return late
