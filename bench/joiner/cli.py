"""`python -m bench joiner …`: the joiner's measurements from the command line."""

import dataclasses
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from bench import results
from bench.joiner import processes
from bench.joiner import restart as restarts
from bench.joiner.avro import AvroWorkload
from bench.joiner.backlog import Backlog, run_backlog
from bench.joiner.freshness import Freshness, generate_changes, measure_freshness
from bench.joiner.queries import Asked
from bench.joiner.throughput import Race, Run, compute_medians, compute_ratios
from bench.joiner.wide import WideWorkload
from bench.joiner.workload import Workload
from bench.results import ProgressPrinter
from stack.servers.process import Command
from stack.servers.registry import Registry

RESULTS = Path(".local/bench")
PARTITIONS = 4
OUTPUT = "user-info"
INTERNAL = "user-info-changes"


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
@click.option("--wide", is_flag=True, help="Join a view of 40 columns and 12 aggregates over 5 tables.")
@click.option(
    "--format",
    "encoding",
    type=click.Choice(["json", "avro"]),
    default="json",
    show_default=True,
    help="What rows are written in; avro starts a schema registry.",
)
def throughput(  # noqa: PLR0913 - options
    rows: int, partitions: int, counts: tuple[int, ...], rounds: int, peer: str | None, *, encoding: str, wide: bool
) -> None:
    """Rows a second, CPU and memory while catching up on a backlog, until the output equals the truth."""
    progress = ProgressPrinter()
    if wide and encoding == "avro":
        raise click.UsageError("--wide and --format avro exclude each other")
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, ExitStack() as servers:
        folder = Path(scratch)
        workload = WideWorkload(rows) if wide else Workload(rows)
        if encoding == "avro":
            workload = AvroWorkload(rows, registry_url=servers.enter_context(Registry(folder / "registry")).url)
        with run_backlog(folder, workload, partitions, progress) as backlog:
            race = Race(backlog, folder)
            for _ in range(rounds):
                for count in counts:
                    runs.append(race.run_joiners(count, progress))
                    _show_run(progress, runs[-1], rows)
                    if peer is not None:
                        runs.append(race.run_peer(peer, count, progress))
                        _show_run(progress, runs[-1], rows)
    middle = compute_medians(runs, rows)
    what = ("of the wide view" if wide else "of the built-in view") + f" in {encoding}"
    click.echo(f"{rows:,} rows {what}, {partitions} partitions, default settings; {results.describe_machine()}")
    click.echo(f"\n{results.to_table(middle)}")
    for count, ratio in compute_ratios(runs).items():
        click.echo(f"\njoiner x {count} is {ratio:.2f} times as fast as the peer x {count}")
    found = {
        "rows": rows,
        "wide": wide,
        "format": encoding,
        "partitions": partitions,
        "peer": peer,
        "runs": [dataclasses.asdict(run) for run in runs],
    }
    facts = {**found, "medians": middle, "ratios": compute_ratios(runs)}
    click.echo(f"\n{results.write_results(RESULTS, 'joiner-throughput', facts)}")


@joiner.command()
@click.option("--rate", "rates", multiple=True, type=int, default=(1_000, 5_000), show_default=True, help="Changes/s.")
@click.option("--seconds", default=60.0, show_default=True, help="How long each rate is kept up.")
@click.option("--rows", default=1_000_000, show_default=True, help="Rows joined beforehand.")
@click.option("--processes", "count", default=1, show_default=True, help="Joiners.")
def freshness(rates: tuple[int, ...], seconds: float, rows: int, count: int) -> None:
    """Seconds from a change in a source topic until a read-committed consumer of user-info sees it."""
    progress = ProgressPrinter()
    with run_caught_up(rows, count, progress) as (backlog, _):
        source = generate_changes(backlog.workload)
        found = []
        for rate in rates:
            found.append(Freshness(rate, seconds))
            measure_freshness(found[-1], backlog.kafka.bootstrap_servers, OUTPUT, source, progress)
            progress(f"{rate:,} changes/s: {found[-1].to_row()}", last=True)
    table = results.to_table([one.to_row() for one in found])
    click.echo(
        f"{count} joiners, {rows:,} rows joined before, default settings; {results.describe_machine()}\n\n{table}"
    )
    rows_found = [one.to_row() for one in found]
    click.echo(
        f"\n{results.write_results(RESULTS, 'joiner-freshness', {'joiners': count, 'rows': rows, 'found': rows_found})}"
    )


@joiner.command()
@click.option("--rows", default=1_000_000, show_default=True, help="Rows of state.")
def restart(rows: int) -> None:
    """Seconds from a joiner's start until changes are seen, its state on disk or only in the changelogs."""
    progress = ProgressPrinter()
    found = []
    with run_caught_up(rows, 1, progress) as (backlog, (only,)):
        trimmed = restarts.await_trim(backlog.topics, INTERNAL)
        progress(f"internal topic: {trimmed.written:,} went through, {trimmed.kept:,} are left", last=True)
        disk = restarts.measure_disk(backlog, only)
        source = generate_changes(backlog.workload)
        for state, number in (("on disk, stopped", signal.SIGTERM), ("on disk, killed", signal.SIGKILL)):
            only.stop(number)
            found.append(restarts.measure_restart(backlog.topics, OUTPUT, only, source, state))
            progress(f"{found[-1].to_row()}", last=True)
        only.stop(signal.SIGKILL)
        restarts.delete_state(only)
        found.append(restarts.measure_restart(backlog.topics, OUTPUT, only, source, "in Kafka alone"))
    rows_found = [one.to_row() for one in found]
    click.echo(
        f"{rows:,} rows of state, default settings; {results.describe_machine()}\n\n{results.to_table(rows_found)}"
    )
    click.echo(
        f"\ninternal topic: {trimmed.written:,} records went through, {trimmed.kept:,} were left"
        f" {trimmed.seconds:.0f} s after catching up"
    )
    click.echo("\nbytes of disk a row: " + ", ".join(f"{name} {size / rows:,.0f}" for name, size in disk.items()))
    facts = {"rows": rows, "found": rows_found, "internal": dataclasses.asdict(trimmed), "diskBytes": disk}
    click.echo(f"\n{results.write_results(RESULTS, 'joiner-restart', facts)}")


@joiner.command()
@click.option("--rows", default=1_000_000, show_default=True, help="Rows joined beforehand.")
@click.option("--rate", default=1_000, show_default=True, help="Changes/s.")
@click.option("--requests", "rates", multiple=True, type=int, default=(0, 200, 1_000), show_default=True, help="Per s.")
@click.option("--seconds", default=20.0, show_default=True, help="How long each part takes.")
def queries(rows: int, rate: int, rates: tuple[int, ...], seconds: float) -> None:
    """Freshness of a joiner that answers for users, at rising rates of requests; its answers beside a reader's."""
    progress = ProgressPrinter()
    serving = {"JOINER_SERVES_USERS": "true", "JOINER_ADVERTISED_URL": "http://127.0.0.1"}  # nobody is sent there
    with run_caught_up(rows, 1, progress, **serving) as (backlog, (only,)):
        asked = Asked(backlog, only, generate_changes(backlog.workload), seconds)
        beside = [asked.measure_beside(rate, requests, OUTPUT, progress) for requests in rates]
        capacities = asked.measure_capacities(backlog.kafka.command.folder / "reader", OUTPUT)
    click.echo(f"1 joiner, {rows:,} rows joined before; {results.describe_machine()}\n\n{results.to_table(beside)}")
    click.echo(f"\n{results.to_table(capacities)}")
    facts = {"rows": rows, "beside": beside, "capacities": capacities}
    click.echo(f"\n{results.write_results(RESULTS, 'joiner-queries', facts)}")


@contextmanager
def run_caught_up(
    rows: int, count: int, progress: ProgressPrinter, **settings: str
) -> Iterator[tuple[Backlog, list[Command]]]:
    """Give joiners that have joined so many rows, and their Kafka; all is deleted afterwards.

    Args:
        rows: how many.
        count: of the joiners.
        progress: shows how far it is.
        settings: further environment variables of the joiners.
    """
    workload = Workload(rows)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        with run_backlog(folder, workload, PARTITIONS, progress) as backlog:
            backlog.topics.create_output(OUTPUT)
            joiners = [
                processes.joiner_command(number, backlog.kafka.bootstrap_servers, "", folder, **settings)
                for number in range(count)
            ]
            try:
                for one in joiners:
                    processes.start(one)
                backlog.await_truth(OUTPUT, joiners, progress)
                progress("caught up", last=True)
                yield backlog, joiners
            finally:
                for one in joiners:
                    one.stop(signal.SIGKILL)


def _show_run(progress: ProgressPrinter, run: Run, rows: int) -> None:
    rate = rows / run.seconds
    progress(
        f"{run.program} x {run.processes}: {run.seconds:.1f} s, {rate:,.0f} rows/s, {run.cpu_seconds:.0f} CPU s",
        last=True,
    )
