"""`python -m bench build …`: measurements of builds from the command line."""

import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from bench import results
from bench.build.again import Rebuilds
from bench.build.first import Form, run_first
from bench.build.history import ChangingTables
from bench.build.passing import Users, run_passes
from bench.joiner.backlog import run_backlog
from bench.joiner.topics import Topics
from bench.joiner.workload import Workload
from bench.results import ProgressPrinter
from stack.servers.kafka import Kafka

RESULTS = Path(".local/bench")
PARTITIONS = 4


@click.group()
def build() -> None:
    """Ask readers all the while joiners build: no answer may be unfinished."""


@build.command()
@click.option("--rows", default=1_000_000, show_default=True, help="Rows in the sources beforehand.")
@click.option("--kills", default=5, show_default=True, help="How often the joiner is SIGKILLed where it is.")
@click.option(
    "--form",
    "names",
    type=click.Choice(["undisturbed", "kills", "second", "both"]),
    multiple=True,
    default=("undisturbed", "kills", "second", "both"),
    show_default=True,
    help="What happens in the build: nothing, SIGKILLs, a second joiner that comes and goes, or both.",
)
def first(rows: int, kills: int, names: tuple[str, ...]) -> None:
    """Answers during a first build: none but 503 and the final values."""
    progress = ProgressPrinter()
    found = []
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        with run_backlog(folder, Workload(rows), PARTITIONS, progress) as backlog:
            for name in names:
                form = Form(name, kills if name in {"kills", "both"} else 0, name in {"second", "both"})
                found.append(run_first(backlog, folder, form, progress))
                progress(f"{found[-1]}", last=True)
    _report("build-first", f"{rows:,} rows in the sources", found, {"rows": rows})


@build.command()
@click.option("--runs", default=20, show_default=True, help="How many rebuilds.")
@click.option("--seed", type=int, help="Of the first run, the next ones follow; drawn and shown where not given.")
@click.option("--rows", default=20_000, show_default=True, help="Rows in the sources, half of them users.")
@click.option("--rate", default=200.0, show_default=True, help="Changes a second.")
def again(runs: int, seed: int | None, rows: int, rate: float) -> None:
    """Answers during rebuilds under changes: values that were true, in their order."""
    if seed is None:
        seed = random.SystemRandom().randrange(10**6)
    progress = ProgressPrinter()
    progress(f"seed {seed}", last=True)
    found = []
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, Kafka(Path(scratch) / "kafka") as kafka:
        topics = Topics(kafka.bootstrap_servers)
        topics.create_sources(ChangingTables.shares, PARTITIONS)
        tables = ChangingTables(topics, rows, seed)
        for run in Rebuilds(topics, tables, Path(scratch), rate).run(range(seed, seed + runs)):
            found.append(run)
            progress(f"{run.to_row()}", last=True)
    rows_found = [run.to_row() for run in found]
    what = f"{rows:,} rows, {rate:g} changes/s"
    _report("build-again", what, rows_found, {"seed": seed, "runs": [asdict(run) for run in found]})


@build.command(name="pass")
@click.option("--users", default=1_000_000, show_default=True, help="Users that are written.")
@click.option("--rate", default=200, show_default=True, help="Changes a second while they are.")
def write_pass(users: int, rate: int) -> None:
    """Memory of a joiner that writes every user once, and how soon changes made meanwhile are seen."""
    progress = ProgressPrinter()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        with run_backlog(folder, Users(users), PARTITIONS, progress) as backlog:
            found = run_passes(backlog, folder, rate, progress)
    _report("build-pass", f"{rate} changes/s", found, {})


def _report(name: str, what: str, found: Sequence[Mapping[str, object]], facts: Mapping[str, object]) -> None:
    click.echo(f"{what}, default settings; {results.describe_machine()}\n\n{results.to_table(found)}")
    click.echo(f"\n{results.write_results(RESULTS, name, {**facts, 'found': found})}")
