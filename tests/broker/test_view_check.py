"""`python -m joiner view --check` on a real Kafka: which columns the topics lack, found without a joiner."""

from pathlib import Path

import pytest

from tests.support.joiners import Joiners

pytestmark = pytest.mark.broker

SHOP = """
[record]
of = "users"
id = "user_id"
as = "userId"

[fields]
name = "name"
born = { column = "born", type = "date" }

[counts]
likes = { of = "likes", by = "user_id", where = { gone = { null = true } } }
reviews = { of = "reviews", by = "user_id" }
orders = { of = "orders", by = "user_id" }

[tables]
reviews = { topic = "PREFIXreviews" }
orders = { topic = "PREFIXorders" }
"""


def run_check(joiners: Joiners, status: int) -> list[str]:
    """Run the command to its end, and return what it printed, with the topics' plain names."""
    with joiners.programs[0].run("view", "--check") as program:
        assert status == program.wait(60), program.log()
        return program.log().replace(joiners.topics.prefix, "").splitlines()


def test_columns_that_rows_lack_are_named(joiners: Joiners, tmp_path: Path) -> None:
    """Whatever the encoding; a column that some rows have is no reason to fail, and neither is an empty topic."""
    topics = joiners.topics
    topics.create("users", "likes", "orders")
    file = tmp_path / "view.toml"
    file.write_text(SHOP.replace("PREFIX", topics.prefix))
    joiners.add(USER_INFO_VIEW=str(file))
    topics.write("users", b"1", b'{"user_id": 1, "name": "alice", "born": 0}')
    topics.write("users", b"2", b'{"op": "c", "after": {"user_id": 2, "name": "bob"}}')
    topics.write("users", b"3", b"not JSON")
    topics.write("likes", b"10", b'{"schema": null, "payload": {"like_id": 10, "user_id": 1}}')
    topics.write("likes", b"11", None)

    # 1. A column is in no row, and a topic is missing.
    assert [
        "partly   users: born is in 1 of 2 rows",
        "missing  likes: gone is in 0 of 1 rows",
        "missing  reviews: the topic does not exist",
        "unknown  orders: its newest records hold no row",
    ] == run_check(joiners, status=1)

    # 2. Both are there now; older rows still lack a column.
    topics.create("reviews")
    topics.write("reviews", b"20", b'{"review_id": 20, "user_id": 1}')
    topics.write("likes", b"12", b'{"like_id": 12, "user_id": 1, "gone": null, "op": "+"}')
    assert [
        "partly   users: born is in 1 of 2 rows",
        "partly   likes: gone is in 1 of 2 rows",
        "well     reviews: each column is in 1 of 1 rows",
        "unknown  orders: its newest records hold no row",
    ] == run_check(joiners, status=0)
