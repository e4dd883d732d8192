"""What the joiner's measurements rest on: the workload's truth, telling changes apart, summing figures up."""

import json
from itertools import islice

import pytest

from bench.errors import MeasurementError
from bench.joiner.freshness import generate_changes
from bench.joiner.throughput import Run, compute_medians, compute_ratios
from bench.joiner.topics import check_equal
from bench.joiner.wide import WideWorkload
from bench.joiner.workload import COUNT_KEYS, Workload
from bench.results import percentile, to_table
from shared.view.file import parse_view
from tests.support.sql_truth import expected_bodies
from tests.support.view_truth import expected_records


def test_the_workload_counts_what_sql_counts_over_its_rows() -> None:
    """The truth that runs are compared with is that of the rows which were written."""
    workload = Workload(2_000)
    tables: dict[str, list[dict[str, str | None]]] = {}
    for topic, key, value in workload.all_rows():
        row = {column: None if given is None else str(given) for column, given in json.loads(value).items()}
        assert key.decode() in row.values()
        tables.setdefault(topic, []).append(row)
    assert {"users": 100, "tweets": 600, "follows": 800, "likes": 500} == {t: len(rows) for t, rows in tables.items()}
    said = {user: json.loads(body) for user, body in expected_bodies(tables).items()}
    assert workload.counts == {int(user): [body[key] for key in COUNT_KEYS] for user, body in said.items()}


def test_the_wide_workload_adds_up_what_its_views_sql_adds_up() -> None:
    """Its view has a table of 40 columns, and 12 aggregates over 5 more tables."""
    workload = WideWorkload(1_000)
    tables: dict[str, list[dict[str, str | int | None]]] = {}
    for topic, _, value in workload.all_rows():
        row = json.loads(value)
        owner = {"customer_id": str(row["customer_id"])}
        tables.setdefault(topic, []).append(row | owner)
    view = parse_view(workload.view)
    assert (40, 12, 6) == (len(tables["customers"][0]), len(view.aggregates), len(view.sources))
    said = {user: json.loads(body) for user, body in expected_records(view, tables).items()}
    assert workload.counts == {int(user): [body[key] for key in workload.keys] for user, body in said.items()}


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    """A run can be repeated."""
    assert list(Workload(500).all_rows()) == list(Workload(500).all_rows())
    assert list(Workload(500).all_rows()) != list(Workload(500, seed=2).all_rows())


def test_some_users_are_far_more_popular_than_most() -> None:
    """Owners are Zipf-like: the first tenth of the users has more than half of all."""
    workload = Workload(20_000)
    list(workload.all_rows())
    popular = sorted((sum(counts) for counts in workload.counts.values()), reverse=True)
    assert sum(popular[: len(popular) // 10]) > sum(popular) / 2


def test_output_that_is_not_the_truth_is_named_by_its_user() -> None:
    """A run with a wrong, missing or superfluous user gives no figures."""
    right = dict(zip(COUNT_KEYS, (1, 2, 3, 4), strict=True))
    counts = {7: [1, 2, 3, 4]}
    check_equal({b"7": json.dumps(right).encode()}, COUNT_KEYS, counts)
    for found, said in (
        ({b"7": json.dumps({**right, "likeCount": 5}).encode()}, r"user 7 .* has \[1, 2, 3, 5\]"),
        ({}, "user 7 .* has None"),
        ({b"7": json.dumps(right).encode(), b"8": json.dumps(right).encode()}, "2 records of 1 users"),
    ):
        with pytest.raises(MeasurementError, match=said):
            check_equal(found, COUNT_KEYS, counts)


def test_each_change_differs_from_the_users_next_one() -> None:
    """No two changes of one user lead to the same value of the same field, and users take turns."""
    workload = Workload(200)
    list(workload.all_rows())
    made = list(islice(generate_changes(workload), 1_000))
    assert len(made) == len({(change.user, change.key, change.value) for change in made})
    assert set(range(1, 11)) == {change.user for change in made[:10]}
    assert {"users", "tweets", "follows", "likes"} == {change.row[0] for change in made}


def test_a_change_is_seen_in_its_own_record_or_a_later_one() -> None:
    """What was merged with a later change of the same user counts from when that was seen, and nothing else counts."""
    workload = Workload(20)
    list(workload.all_rows())
    renamed, tweeted = islice((c for c in generate_changes(workload) if c.key in ("username", "tweetCount")), 2)
    assert renamed.is_shown_by({"username": f"name{renamed.value}"})
    assert renamed.is_shown_by({"username": f"name{renamed.value + 1}"})
    assert not renamed.is_shown_by({"username": f"name{renamed.value - 1}"})
    assert not renamed.is_shown_by({"username": "user1"})
    assert tweeted.is_shown_by({"tweetCount": tweeted.value + 1})
    assert not tweeted.is_shown_by({"tweetCount": tweeted.value - 1})


def test_figures_are_medians_and_the_ratio_is_of_medians() -> None:
    """One slow run does not move what is quoted."""

    def run(program: str, seconds: float) -> Run:
        return Run(program, 1, seconds, 1.0, seconds, 1.0, 10**8, {"user-info": 5, "changelogs": 6, "internal": 7})

    runs = [run("joiner", 10), run("joiner", 50), run("joiner", 20), run("peer", 40), run("peer", 60), run("peer", 50)]
    assert {1: 2.5} == compute_ratios(runs)
    assert [
        ("joiner x 1", 50),
        ("peer x 1", 20),
    ] == [(row["program x processes"], row["rows/s"]) for row in compute_medians(runs, 1_000)]


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 2), (75, 3), (76, 4), (99, 4), (100, 4)])
def test_a_percentile_is_a_value_that_was_measured(percent: float, expected: float) -> None:
    """The nearest rank: so many percent of the values do not exceed it."""
    assert expected == percentile([4, 1, 3, 2], percent)


def test_tables_are_markdown() -> None:
    """Results can be pasted into the documents as they are."""
    assert ("| program | rows/s | p95 s |\n| --- | ---: | ---: |\n| joiner | 42,456 | 0.25 |") == to_table(
        [{"program": "joiner", "rows/s": 42_456, "p95 s": 0.25}]
    )
