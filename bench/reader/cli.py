"""`python -m bench reader`: this reader compared with what else could answer, the load on a core of its own."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bench import results
from bench.reader import runs, starts
from bench.reader.report import to_markdown
from bench.reader.services import READER, Service
from bench.reader.testbed import REPLAYED, fill_with_invented_users, run_all_services, run_testbed

PARTS = ("capacity", "latency", "updates", "replay", "starts")


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="Only this; may be repeated.")
@click.option("--only", multiple=True, help="Only services whose names begin so, besides the reader; may be repeated.")
@click.option("--users", default=100_000, show_default=True, help="Users that all services know.")
@click.option("--rate", default=1000.0, show_default=True, help="Requests a second where latency is measured.")
@click.option("--seconds", default=20.0, show_default=True, help="How long each latency is measured.")
@click.option("--updates", default=1000.0, show_default=True, help="Updates a second through Kafka.")
@click.option("--rounds", default=3, show_default=True, help="Turns of each service where capacity is measured.")
@click.option("--closed-seconds", default=5.0, show_default=True, help="How long each of these turns takes.")
@click.option("--records", default=1_000_000, show_default=True, help="Records of a replay and of a first start.")
@click.option("--replays", default=1, show_default=True, help="How many replays.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".local/bench"),
    show_default=True,
    help="Folder that the results go to, as reader.json and reader.md.",
)
def reader(parts: tuple[str, ...], output: Path, **options: Any) -> None:  # noqa: ANN401 - click hands them in
    """Compare the reader with its peers, each on one core, the load on another.

    Capacity is what a closed loop gets, by wrk where it is installed. Latency is counted from the moment that each
    request was due, at a steady rate: without updates, with updates flowing through Kafka, and during a replay of the
    whole topic. Each answer over 10 ms is compared with what an idle loop on the same core saw.

    Everything runs on servers of its own, on free ports, in a temporary folder.
    """
    began = time.monotonic()
    found: dict[str, Any] = {"options": options}
    measure_into(found, parts or PARTS, options, lambda line: _show(line, began))
    file = results.write_results(output, "reader", found)
    tables = to_markdown(json.loads(file.read_text()))
    file.with_suffix(".md").write_text(tables)
    click.echo(f"\n{tables}\nwritten to {file} and {file.with_suffix('.md')}")


def measure_into(
    found: dict[str, Any], parts: tuple[str, ...], options: dict[str, Any], say: Callable[[str], None]
) -> None:
    """Do the parts of the measurement, and store what they find.

    Args:
        found: part -> what was found; latencies of all parts are one list.
        parts: which of PARTS.
        options: as on the command line.
        say: shows a line.
    """
    rate, seconds, records = options["rate"], options["seconds"], options["records"]
    latencies: list[dict[str, Any]] = []
    with run_testbed(options["users"], say) as testbed:
        if {"capacity", "latency", "updates", "replay"} & set(parts):
            with run_all_services(testbed) as everyone:
                services = [one for one in everyone if _is_wanted(one, options["only"])]
                if "capacity" in parts:
                    turns, each = options["rounds"], options["closed_seconds"]
                    found["capacity"] = runs.measure_capacities(services, testbed, turns, each)
                if "latency" in parts:
                    latencies += [runs.measure_latency(one, testbed, rate, seconds) for one in services]
                if "updates" in parts:
                    updates = options["updates"]
                    latencies.append(runs.measure_latency_with_updates(services[0], testbed, rate, updates, seconds))
        if {"replay", "starts"} & set(parts):
            fill_with_invented_users(testbed, REPLAYED, records)
        if "replay" in parts:
            latencies += [
                runs.measure_latency_in_replay(testbed, records, rate, number) for number in range(options["replays"])
            ]
        if "starts" in parts:
            found["starts"] = starts.measure_starts(testbed, records)
    if latencies:
        found["latency"] = latencies


def _is_wanted(service: Service, only: tuple[str, ...]) -> bool:
    return service.name == READER or not only or service.name.lower().startswith(tuple(map(str.lower, only)))


def _show(line: str, began: float) -> None:
    click.echo(f"{time.monotonic() - began:6.1f} s  {line}")
