"""A real social graph of 22,470 users and 171,002 follows: loaded through PostgreSQL, compared user by user."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stack.seed import load_files
from tests.support.programs import ROOT
from tests.support.service import Service

pytestmark = pytest.mark.end_to_end

GRAPH = Path(os.environ.get("REAL_GRAPH", ROOT.parent / "shared" / "data" / "page-graph"))
FILES = {table: GRAPH / f"{table}.csv" for table in ("users", "follows")}
ROWS = {"users": 22_470, "follows": 171_002}


@pytest.mark.skipif(
    not all(file.is_file() for file in FILES.values()),
    reason=f"no users.csv and follows.csv in {GRAPH}; name their folder with REAL_GRAPH",
)
@pytest.mark.timeout(600)
def test_every_user_of_a_real_graph_is_answered_as_sql_says(
    service: Service, record_property: Callable[[str, object], None]
) -> None:
    """Seeded as a user would seed files of their own, all users agree with SQL in every key."""
    assert load_files(service.dsn, FILES) == ROWS
    truth = service.truth()
    service.await_answers(truth, 300)

    # Once more from the start, now that all of it has come: nothing may have moved on past the truth.
    answers = dict(service.answers(list(truth)))
    differences = [user_id for user_id, record in truth.items() if answers[user_id] != record]
    record_property("users compared", len(answers))
    record_property("differences", len(differences))
    assert differences == []
    assert len(answers) == ROWS["users"]
