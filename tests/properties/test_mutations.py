"""Proof that the properties bite: copies of the joiner, each with one deliberate bug, and the property that finds it.

Where a bug can no longer be put in because the code reads otherwise now, write the same bug in its words.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]


class Bug(NamedTuple):
    """A line of the joiner, what it is turned into, and the property that must fail then."""

    module: str
    line: str
    bug: str
    caught_by: str = "test_histories.py::test_user_info_equals_sql"


TORN = "test_transactions.py::TestTransactionsWithoutGuard"

VIEWS = "test_views.py::test_user_info_equals_the_views_sql"

BUGS = {
    "a key of another form is taken": Bug(
        "core/key_forms",
        "elif form != known:",
        "elif not form:",
        "test_histories.py::test_keys_that_change_their_form_are_refused_and_never_miscounted",
    ),
    "a pack that comes again is counted again": Bug("core/chain", "if number != last + 1:", "if number < 0:", TORN),
    "a transaction goes on under the epoch of one that may end it": Bug(
        "core/epochs",
        "        if self._began_at is not None:\n            self.needs_epoch = True",
        "        if self._began_at is not None:\n            self.needs_epoch = False",
        "test_transactions.py::TestTransactions",
    ),
    "the sign of an owner move is flipped": Bug(
        "core/differences", "yield before, aggregate, -1", "yield before, aggregate, 1"
    ),
    "a second deletion takes the count back again": Bug(
        "core/checkpoint", "        partition.rows[row_id] = new\n\n", "        partition.rows[row_id] = new or old\n\n"
    ),
    "a row that is delivered again counts again": Bug(
        "core/checkpoint", "diff_owners(table, old, new)", "diff_owners(table, old if new is None else None, new)"
    ),
    "a value that Debezium left out is taken for text": Bug(
        "core/users", "if UNAVAILABLE not in values:", "if all(value is not UNAVAILABLE for value in values):"
    ),
    "an internal record is applied each time it is delivered": Bug(
        "core/checkpoint", "if offset < partition.open_changes(where):", "if offset < 0:"
    ),
    "a deleted user takes the counts along": Bug(
        "core/users",
        "state.aggregates, change.aggregates)) if state.aggregates",
        "state.aggregates, change.aggregates)) if state.aggregates and change.profile is not None",
    ),
    "the followee's count goes to the follower": Bug(
        "core/differences", "yield after, aggregate, 1", "yield after, table.plain_counts[0][1], 1"
    ),
    "a bad row is taken for a deletion": Bug(
        "core/rows",
        "raise _refuse(value, error) from None",
        "return RowChange(row_id, None)",
        "test_histories.py::test_bad_rows_in_between_change_nothing",
    ),
    "a record is written though nothing is new": Bug(
        "core/users",
        "return before.profile != after.profile or before.aggregates != after.aggregates",
        "return True",
        "test_histories.py::test_each_record_shows_something_new",
    ),
    "rows that are gone are remembered": Bug(
        "core/partition_work",
        "known = row is not None and row.count(None) < len(row)",
        "known = row is not None",
        "test_histories.py::test_state_is_kept_of_rows_and_users_that_are_there_and_of_no_others",
    ),
    "a heartbeat passes a row that is not read yet": Bug(
        "core/watermarks",
        "waiting[0].end <= position",
        "waiting[0].end <= position + 1",
        "test_watermarks.py::test_heartbeats_never_overtake_the_data",
    ),
    "a heartbeat does not wait for all partitions": Bug(
        "core/watermarks",
        "if len(known) < len(self._sources):",
        "if not known:",
        "test_watermarks.py::test_heartbeats_never_overtake_the_data",
    ),
    "the newest partition counts instead of the oldest": Bug(
        "core/watermarks",
        "oldest = min(known.values(), default=-1)",
        "oldest = max(known.values(), default=-1)",
        "test_watermarks.py::test_heartbeats_never_overtake_the_data",
    ),
    "a long integer id is rounded": Bug(
        "core/values",
        "    elif kind is float:\n        raise NeedsLiteralsError",
        "    elif kind is float:\n        text = str(int(value))  # type: ignore",
        "test_encodings.py::test_integer_ids_of_any_size_are_exact",
    ),
    "a condition is not looked at": Bug(
        "core/differences", "if not condition.holds(values[position]):", "if not position + 1:", VIEWS
    ),
    "a null is compared as an empty text": Bug(
        "core/differences", "condition.holds(values[position])", 'condition.holds(values[position] or "")', VIEWS
    ),
    "a row that keeps its owners is not compared": Bug(
        "core/differences",
        "table.terms if old != new",
        "table.terms if (old or ())[: len(table.owners)] != (new or ())[: len(table.owners)]",
        VIEWS,
    ),
    "what a row added before is not taken back where its owner stays": Bug(
        "core/differences", "taken, given = 0, given - taken", "taken, given = 0, given", VIEWS
    ),
    "a row that moves takes back one, whatever it added": Bug(
        "core/differences", "(before, term.aggregate, -taken)", "(before, term.aggregate, -1)", VIEWS
    ),
    "a sum knows no places": Bug("core/plan", "aggregate.scale or 0,", "0,", VIEWS),
    "a sum beyond 64 bits is rounded": Bug(
        "core/users",
        "aggregates = map(int, aggregates.split())",
        "aggregates = map(int, map(float, aggregates.split()))",
        VIEWS,
    ),
    "a change beyond 64 bits is rounded": Bug(
        "core/users", "list(map(int, aggregates.split()))", "list(map(int, map(float, aggregates.split())))", VIEWS
    ),
    "a column that was not sent is null for conditions and sums": Bug(
        "core/checkpoint", "complete_row(sent, old)", "complete_row(sent, None)", VIEWS
    ),
    "a row without an owner is forgotten with all that it holds": Bug(
        "core/partition_work", "row.count(None) < len(row)", "row[0] is not None", VIEWS
    ),
    "a row of the record's own table adds to nobody": Bug(
        "core/checkpoint",
        "        if store is not None:\n            partition",
        "        if store is not None and table.fields is None:\n            partition",
        VIEWS,
    ),
    "rows are told apart by the first column of their key": Bug(
        "core/keys", "identity = COMPOSITE_PREFIX + _dump(columns)", "identity = COMPOSITE_PREFIX + row_id", VIEWS
    ),
    "a moment before 1970 is rounded towards it": Bug(
        "core/times", "divmod(units, 10**decimals)", "(int(units / 10**decimals), abs(units) % 10**decimals)", VIEWS
    ),
    "a number in JSON is rounded": Bug(
        "core/field_types", "return orjson.Fragment(str(value))", "return float(value)", VIEWS
    ),
    "a negative decimal in bytes is a large one": Bug("core/field_types", "signed=True", "signed=False", VIEWS),
    "a decimal shows as many places as were sent": Bug(
        "core/field_types", "    return format_units(units, field.scale)\n\n", "    return text\n\n", VIEWS
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS.keys())
def test_a_deliberate_bug_is_caught(bug: Bug, tmp_path: Path) -> None:
    """The property fails on the copy with the bug, and by what it says rather than by a check of Hypothesis' own."""
    for part in ("joiner", "reader", "replication", "shared", "tests/properties", "tests/support"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests" / "__init__.py").touch()
    module = tmp_path / "joiner" / f"{bug.module}.py"
    source = module.read_text()
    assert 1 == source.count(bug.line), f"joiner/{bug.module}.py does not hold this once any more: {bug.line}"
    module.write_text(source.replace(bug.line, bug.bug))
    failed = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir=.", f"tests/properties/{bug.caught_by}"],
        cwd=tmp_path,
        env={**os.environ, "HYPOTHESIS_PROFILE": "bugs", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert pytest.ExitCode.TESTS_FAILED == failed.returncode, f"not caught: {failed.stdout}{failed.stderr}"
    assert f"FAILED tests/properties/{bug.caught_by}" in failed.stdout
    assert "FailedHealthCheck" not in failed.stdout
