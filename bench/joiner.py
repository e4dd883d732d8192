"""`python -m bench joiner …`: the joiner's measurements from the command line."""

import dataclasses
import tempfile
from pathlib import Path

import click

from bench import results
from bench.joiner_throughput import Race, Run, loaded, medians, ratios
from bench.results import Progress
from bench.workload import Workload

RESULTS = Path(".local/bench")


@click.group()
def joiner() -> None:
    """Measure the joiner on a Kafka of the measurement's own."""


@joiner.command()
@click.option("--rows", default=1_000_000, show_default=True, help="Rows to join.")
@click.option("--partitions", default=4, show_default=True, help="Partitions of each source topic.")
@click.option("--processes", "counts", multiple=True, type=int, default=(1, 2), show_default=True, help="Joiners.")
@click.option("--rounds", default=1, show_default=True, help="Runs of each; medians are shown.")
@click.option(
    "--peer",
    metavar="COMMAND",
    help="Another program that reads the topics users, tweets, follows and likes; run in turn with the joiner. "
    "Placeholders: {bootstrap}, {threads}, {output}.",
)
def throughput(rows: int, partitions: int, counts: tuple[int, ...], rounds: int, peer: str | None) -> None:
    """Rows a second, CPU and memory while catching up on a backlog, until the output equals the truth."""
    progress = Progress()
    workload = Workload(rows)
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        with loaded(folder, workload, partitions, progress) as (kafka, topics):
            race = Race(kafka, topics, workload, folder)
            for _ in range(rounds):
                for count in counts:
                    runs.append(race.joiners(count, progress))
                    _say_run(progress, runs[-1], rows)
                    if peer is not None:
                        runs.append(race.peer(peer, count, progress))
                        _say_run(progress, runs[-1], rows)
    table = results.table(medians(runs, rows))
    click.echo(f"{rows:,} rows, {partitions} partitions, default settings; {results.machine()}\n\n{table}")
    for count, ratio in ratios(runs).items():
        click.echo(f"\njoiner x {count} is {ratio:.2f} times as fast as the peer x {count}")
    found = {"rows": rows, "partitions": partitions, "peer": peer, "runs": [dataclasses.asdict(run) for run in runs]}
    click.echo(f"\n{results.write(RESULTS, 'joiner-throughput', {**found, 'ratios': ratios(runs)})}")


def _say_run(progress: Progress, run: Run, rows: int) -> None:
    rate = rows / run.seconds
    progress(
        f"{run.program} x {run.processes}: {run.seconds:.1f} s, {rate:,.0f} rows/s, {run.cpu_seconds:.0f} CPU s",
        last=True,
    )
