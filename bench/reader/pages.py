"""`python -m bench pages`: what a read costs whose page is in memory, and one whose page must come from the disk.

A copy that is larger than the memory has both, which is what sizing is about.
"""

import os
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from bench import results
from bench.errors import MeasurementError
from bench.reader.store import apply_all
from reader.storage.environment import DATA
from reader.storage.store import Store

BATCH = 5_000


class Reads(NamedTuple):
    """What reads of random users took: in ms, sorted, and what was read from the disk for them, in bytes."""

    milliseconds: list[float]
    disk_bytes: int

    def to_row(self, pages: str) -> dict[str, str]:
        """Return a row of a table."""
        count = len(self.milliseconds)
        shares = {
            name: self.milliseconds[int(share * count)] for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        }
        row = {"pages": pages} | {f"{name} ms": f"{value:.3f}" for name, value in shares.items()}
        return row | {"max ms": f"{self.milliseconds[-1]:.2f}", "KB read": f"{self.disk_bytes / count / 1000:.0f}"}


@click.command()
@click.option("--records", default=1_000_000, show_default=True, help="Records of 380 bytes, of as many users.")
@click.option("--reads", default=500, show_default=True, help="Users that are read, at random.")
def pages(records: int, reads: int) -> None:
    """Read users from a copy that has just been dropped from memory, and the same ones again.

    The copy is in the folder in which the command is given, on that disk.
    """
    chance = random.Random(1)
    wanted = [b"%d" % chance.randrange(records) for _ in range(reads)]
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-pages-") as name:
        folder = Path(name)
        kept = Store(folder)
        apply_all(kept, records, BATCH, "never")
        kept.sync()
        kept.close()
        _drop_from_memory(folder / DATA)
        kept = Store(folder)
        cold, warm = _read(kept, wanted), _read(kept, wanted)
        kept.close()
    if cold.disk_bytes == 0:
        raise MeasurementError("nothing was read from the disk: the system did not drop the copy from memory")
    click.echo(f"{records:,} users, {reads:,} reads; {results.describe_machine()}\n")
    click.echo(results.to_table([cold.to_row("on the disk"), warm.to_row("in memory")]))


def _drop_from_memory(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _read(kept: Store, wanted: Sequence[bytes]) -> Reads:
    before, taken = _disk_bytes(), []
    for user_id in wanted:
        began = time.perf_counter()
        view = kept.view()
        found = view.find(user_id)
        view.close()
        taken.append(1000 * (time.perf_counter() - began))
        if found is None:
            raise MeasurementError(f"the copy lacks user {user_id.decode()}")
    return Reads(sorted(taken), _disk_bytes() - before)


def _disk_bytes() -> int:
    """Return what this process has had read from disks so far, for pages that it touched too."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["read_bytes"])
