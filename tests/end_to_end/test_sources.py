"""Connectors that are set up otherwise than ours, and tables of other types: every user is answered as SQL says."""

import pytest

from stack.ops import read_connector
from stack.traffic import keep_changing
from tests.support.pipelines import DELETIONS, FLATTENING, SCHEMAS, Pipeline, Servers
from tests.support.topics import headers_of
from tests.support.waiting import wait_for

pytestmark = pytest.mark.end_to_end

WHOLE_ROWS = ["ALTER TABLE likes REPLICA IDENTITY FULL"]
"""What lets Debezium delete a row under its old key where another column than the primary key is in it."""

IDS = {
    "users": ("user_id",),
    "tweets": ("tweet_id", "user_id"),
    "follows": ("follow_id", "follower_id", "followee_id"),
    "likes": ("like_id", "user_id"),
}
NUMERIC = [
    statement
    for table, columns in IDS.items()
    for statement in (
        f"ALTER TABLE {table} ALTER {columns[0]} DROP IDENTITY",
        *(f"ALTER TABLE {table} ALTER {column} TYPE numeric(20)" for column in columns),
        f"CREATE SEQUENCE {table}_{columns[0]}_seq OWNED BY {table}.{columns[0]}",
        f"ALTER TABLE {table} ALTER {columns[0]} SET DEFAULT nextval('{table}_{columns[0]}_seq')",
        f"SELECT setval('{table}_{columns[0]}_seq', max({columns[0]})::bigint) FROM {table}",
    )
]
"""What makes all ids `numeric`."""


SIGNALS = [
    "CREATE TABLE signals (id text PRIMARY KEY, type text, data text)",
    "ALTER PUBLICATION user_info ADD TABLE signals",
]
"""What lets a connector be told in the database to take a snapshot while it runs."""

SIGNALLED = {
    "signal.data.collection": "public.signals",
    "table.include.list": f"{read_connector()['table.include.list']},public.signals",
    "incremental.snapshot.chunk.size": "10",
}
"""What a connector needs to read the signals, and to write a snapshot in pieces between changes."""


def change_everything(pipeline: Pipeline) -> None:
    """Insert, edit, move and delete rows of all tables, by chance, during both kinds of snapshots, and for certain."""
    tables = ", ".join(f'"public.{table}"' for table in IDS)
    for kind in ("incremental", "blocking"):
        order = f'{{"type": "{kind}", "data-collections": [{tables}]}}'
        pipeline.service.sql(f"INSERT INTO signals VALUES ('{kind}', 'execute-snapshot', '{order}')")
        keep_changing(pipeline.service.dsn, 300, 1, print)
    pipeline.service.sql(
        "UPDATE users SET description = 'edited' WHERE user_id <= 5",
        "UPDATE tweets SET user_id = 1 WHERE tweet_id <= 10",
        "UPDATE likes SET user_id = 2 WHERE like_id BETWEEN 1 AND 20",
        "UPDATE follows SET follower_id = 3, followee_id = NULL WHERE follow_id <= 10",
        "DELETE FROM tweets WHERE tweet_id BETWEEN 11 AND 20",
        "DELETE FROM likes WHERE like_id > 30",
        "DELETE FROM follows WHERE follower_id = 4",
        "DELETE FROM users WHERE user_id = 6",
    )


@pytest.mark.parametrize(
    ("name", "tables", "connector"),
    [
        ("rewrite", [], {**FLATTENING, DELETIONS: "rewrite"}),
        ("keys", WHOLE_ROWS, {"message.key.columns": "public.likes:like_id,user_id"}),
        ("numbers", NUMERIC, {"decimal.handling.mode": "string"}),
        ("decimals", NUMERIC, SCHEMAS),
    ],
)
def test_users_are_answered_as_sql_says(
    servers: Servers, name: str, tables: list[str], connector: dict[str, str]
) -> None:
    """Rows of snapshots, before and during a load that inserts, edits, moves and deletes."""
    with Pipeline(servers, name, [*tables, *SIGNALS], {**connector, **SIGNALLED}) as pipeline:
        change_everything(pipeline)
        pipeline.await_truth()
        pipeline.service.await_absence(6)
        assert any(
            b"snapshot-window-close" in (signal.value() or b"") for signal in pipeline.topics.messages("signals")
        )


def test_encoded_numbers_are_named(servers: Servers) -> None:
    """Without schemas, and without the setting that makes them text, `numeric` ids are dead letters that say so."""
    with Pipeline(servers, "encoded", NUMERIC) as pipeline:
        said = "the key says 'AQ==', as Debezium writes the number 1: set decimal.handling.mode=string"

        def details() -> list[str]:
            letters = pipeline.topics.messages("user-info-dead-letters")
            return [headers_of(letter)["detail"].decode() for letter in letters]

        wait_for(lambda: any(detail.startswith(said) for detail in details()), 60, "a dead letter of user 1")
        assert pipeline.service.answer("AQ==") is None
