"""A social graph of 22,470 users and 171,002 follows: loaded through PostgreSQL, compared user by user.

The graph is a real one where its files are: page-page likes of the MUSAE data set, whose licence keeps them out of this
repository. Anywhere else it is a made-up one of the same size.
"""

import csv
import json
import os
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from stack.seed import load_files
from tests.support.programs import ROOT
from tests.support.service import Service
from tests.support.sinks import both_sinks

pytestmark = pytest.mark.end_to_end

GRAPH = Path(os.environ.get("REAL_GRAPH", ROOT.parent / "shared" / "data" / "page-graph"))
ROWS = {"users": 22_470, "follows": 171_002}
NAMES = ("中国好声音", 'Zoë "Zo" Neil, Jr.', "🦉 night owls", "two\nlines", "שלום עולם", "back\\slash")


@pytest.fixture
def graph(tmp_path: Path) -> dict[str, Path]:
    """Give the files of a graph: table -> CSV."""
    files = {table: GRAPH / f"{table}.csv" for table in ROWS}
    if not all(file.is_file() for file in files.values()):
        files = {table: tmp_path / f"{table}.csv" for table in ROWS}
        write_graph(files)
    return files


def write_graph(files: dict[str, Path]) -> None:
    """Make up a graph; as in real ones, a few users have most of the followers, and many have none."""
    chance = random.Random(1)
    count = ROWS["users"]
    users = ((user, f"page{user}", f"{NAMES[user % len(NAMES)]} {user}", "tvshow") for user in range(count))
    follows = ((row, chance.randrange(count), int(count * chance.random() ** 4)) for row in range(ROWS["follows"]))
    write_rows(files["users"], ("user_id", "username", "name", "description"), users)
    write_rows(files["follows"], ("follow_id", "follower_id", "followee_id"), follows)


def write_rows(file: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV file."""
    with file.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([columns, *rows])


@pytest.mark.timeout(600)
def test_every_user_of_a_graph_is_answered_as_sql_says(
    service: Service, graph: dict[str, Path], stack_folder: Path, record_property: Callable[[str, object], None]
) -> None:
    """Seeded as a user would seed files of their own, all users agree with SQL in every key; so they do in sinks."""
    assert ROWS == load_files(service.dsn, graph)
    truth = service.truth()
    service.await_answers(truth, 300)

    # Once more from the start, now that all of it has come: nothing may have moved on past the truth.
    answers = dict(service.answers(list(truth)))
    differences = [user_id for user_id, record in truth.items() if answers[user_id] != record]
    record_property("users compared", len(answers))
    record_property("differences", len(differences))
    assert [] == differences
    assert ROWS["users"] == len(answers)

    with both_sinks({"KAFKA_BOOTSTRAP_SERVERS": service.bootstrap_servers}, service.dsn, stack_folder) as stores:
        for store in stores:
            expected = {user.encode(): store.expect(json.dumps(record).encode()) for user, record in truth.items()}
            assert expected == store.read()
