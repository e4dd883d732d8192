"""The view as SQL: what it says, and what SQLite makes of it. PostgreSQL runs it in tests/end_to_end/."""

import json
import sqlite3
from contextlib import closing

import pytest

from shared.view.model import BUILT_IN, Aggregate, Condition, Field, FieldType, Source, View
from shared.view.sql import DIALECTS, Dialect, to_sql
from tests.support.sql_truth import expected_bodies
from tests.support.view_truth import Value, expected_records, fill_tables, list_columns, open_database

OPEN = Condition("status", frozenset({"open", "it's"}))


def shop(*fields: Field, aggregates: tuple[Aggregate, ...] = ()) -> View:
    """Return a view of customers and their orders."""
    sources = (Source("customers", "customers", ("id",)), Source("orders", "orders", ("order_id",)))
    return View("customers", "id", "customerId", fields, aggregates, sources)


def test_postgresql_is_asked_for_one_record_in_the_records_order() -> None:
    """Identifiers are quoted, values compare as text, and the sum is exact."""
    view = shop(
        Field("born", "born", "date"),
        aggregates=(
            Aggregate("orderCount", "orders", "customer_id", (OPEN, Condition("gone", frozenset(), accepts_null=True))),
            Aggregate("spent", "orders", "customer_id", column="amount", scale=2),
        ),
    )
    assert """\
SELECT record."id"::text AS "customerId"
     , to_char(record."born", 'YYYY-MM-DD') AS "born"
     , (SELECT count(*) FROM "orders" AS owned WHERE owned."customer_id" = record."id"\
 AND owned."status"::text IN ('it''s', 'open') AND owned."gone" IS NULL) AS "orderCount"
     , (SELECT round(coalesce(sum(owned."amount"::numeric), 0), 2)::text\
 FROM "orders" AS owned WHERE owned."customer_id" = record."id") AS "spent"
FROM "customers" AS record
WHERE record."id" = $1""" == to_sql(view, "postgresql", "= $1")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_name_with_quotation_marks_stays_a_name(dialect: Dialect) -> None:
    """A column may be called anything."""
    assert 'record."a""b"' in to_sql(shop(Field("odd", 'a"b')), dialect)


def test_the_built_in_view_is_the_designs_query() -> None:
    """Written by hand, it says the same of the same tables."""
    tables: dict[str, list[dict[str, str | None]]] = {
        "users": [{"user_id": "alice", "name": "Zoë"}, {"user_id": "bob", "joined_date": "2009"}],
        "tweets": [{"tweet_id": "1", "user_id": "alice"}, {"tweet_id": "2", "user_id": None}],
        "follows": [{"follow_id": "1", "follower_id": "alice", "followee_id": "alice"}],
        "likes": [{"like_id": "1", "user_id": "bob"}, {"like_id": "2", "user_id": "carol"}],
    }
    assert expected_bodies(tables) == expected_records(BUILT_IN, tables)


@pytest.mark.parametrize(
    ("kind", "scale", "stored", "shown"),
    [
        ("text", 0, "x", "x"),
        ("text", 0, 5, "5"),
        ("text", 0, "true", "true"),
        ("text", 0, None, None),
        ("json", 0, '{"a":[1,2.50]}', {"a": [1, 2.5]}),
        ("json", 0, None, None),
        ("date", 0, 0, "1970-01-01"),
        ("date", 0, -1, "1969-12-31"),
        ("date", 0, 2_932_896, "9999-12-31"),
        ("date", 0, "2024-02-29", "2024-02-29"),
        ("date", 0, None, None),
        ("timestamp-millis", 0, -1, "1969-12-31T23:59:59.999Z"),
        ("timestamp-millis", 0, 253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ("timestamp-micros", 0, 1_231_898_676_000_000, "2009-01-14T02:04:36.000000Z"),
        ("timestamp-micros", 0, -62_135_596_800_000_000, "0001-01-01T00:00:00.000000Z"),
        ("timestamp-micros", 0, "2009-01-14T02:04:36.000000Z", "2009-01-14T02:04:36.000000Z"),
        ("timestamp-nanos", 0, 2**63 - 1, "2262-04-11T23:47:16.854775807Z"),
        ("timestamp-nanos", 0, -(2**63), "1677-09-21T00:12:43.145224192Z"),
        ("decimal", 2, "12.5", "12.50"),
        ("decimal", 2, "12.500", "12.50"),
        ("decimal", 2, "-0.00", "0.00"),
        ("decimal", 2, 3, "3.00"),
        ("decimal", 0, "7.0", "7"),
        ("decimal", 30, "-1" + "0" * 40, "-1" + "0" * 40 + "." + "0" * 30),
        ("decimal", 2, None, None),
    ],
)
def test_sqlite_shows_a_field_as_its_type_says(kind: FieldType, scale: int, stored: str | int, shown: object) -> None:
    """Days and times are ISO 8601 in UTC, before 1970 as well; decimals have their places."""
    records = expected_records(shop(Field("f", "c", kind, scale)), {"customers": [{"id": "1", "c": stored}]})
    assert {"customerId": "1", "f": shown} == json.loads(records[b"1"])


@pytest.mark.parametrize(
    ("condition", "counted"),
    [
        (Condition("c", frozenset({"open"})), ["open"]),
        (Condition("c", frozenset({"5", "true"})), [5, "true"]),
        (Condition("c", frozenset({"open"}), negated=True, accepts_null=True), [5, "true", None]),
        (Condition("c", frozenset(), accepts_null=True), [None]),
        (Condition("c", frozenset(), negated=True), ["open", 5, "true"]),
    ],
)
def test_sqlite_counts_the_rows_for_which_a_condition_holds(
    condition: Condition, counted: list[str | int | None]
) -> None:
    """The condition itself says the same of each value, as text."""
    values: list[str | int | None] = ["open", 5, "true", None]
    view = shop(aggregates=(Aggregate("n", "orders", "customer_id", (condition,)),))
    for value in values:
        rows: dict[str, list[dict[str, Value]]] = {
            "customers": [{"id": "1"}],
            "orders": [{"customer_id": "1", "c": value}, {"customer_id": None}],
        }
        holds = condition.holds(None if value is None else str(value))
        assert (value in counted) is holds
        assert {"customerId": "1", "n": int(holds)} == json.loads(expected_records(view, rows)[b"1"])


@pytest.mark.parametrize(
    ("scale", "values", "total"),
    [
        (None, [], "0"),
        (None, [None, 5, "7"], "12"),
        (None, [str(2**64), str(2**64), -1], str(2**65 - 1)),
        (None, [2**63 - 1, 2**63 - 1], str(2**64 - 2)),
        (None, [-1, 1], "0"),
        (0, ["12", -30], '"-18"'),
        (2, [], '"0.00"'),
        (2, ["0.1", "0.2", None], '"0.30"'),
        (2, ["-0.50", "0.5"], '"0.00"'),
        (2, ["1.500", 2], '"3.50"'),
        (2, ["9" * 40 + ".99", "0.01"], f'"1{"0" * 40}.00"'),
    ],
)
def test_sqlite_sums_exactly(scale: int | None, values: list[str | int | None], total: str) -> None:
    """Integers of any size are numbers, decimals are text with their places, and a null adds nothing."""
    view = shop(aggregates=(Aggregate("sum", "orders", "customer_id", column="amount", scale=scale),))
    orders = [{"customer_id": "1", "amount": value} for value in values]
    body = expected_records(view, {"customers": [{"id": "1"}], "orders": orders})[b"1"]
    assert f'{{"customerId":"1","sum":{total}}}'.encode() == body


def test_a_table_that_refers_to_itself_is_aggregated_for_its_own_rows() -> None:
    """Both sides of the comparison have a name of their own."""
    view = View(
        "users", "id", "id", (), (Aggregate("invited", "users", "invited_by"),), (Source("users", "users", ("id",)),)
    )
    assert ["id", "invited_by"] == list_columns(view, "users")
    users: list[dict[str, str | int | None]] = [
        {"id": "a", "invited_by": None},
        {"id": "b", "invited_by": "a"},
        {"id": "c", "invited_by": "a"},
    ]
    assert {b"a": b'{"id":"a","invited":2}', b"b": b'{"id":"b","invited":0}', b"c": b'{"id":"c","invited":0}'} == (
        expected_records(view, {"users": users})
    )


def test_one_record_is_selected_by_its_id() -> None:
    """What the id must be is the caller's words."""
    view = shop(Field("name", "name"))
    with closing(open_database()) as database:
        fill_tables(database, view, {"customers": [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}]})
        assert [("2", "b")] == database.execute(to_sql(view, "sqlite", "= ?1"), ("2",)).fetchall()


def test_a_column_that_is_not_there_is_no_text() -> None:
    """SQLite takes a quoted name that it does not know for text, unless the name has a table."""
    with closing(open_database()) as database:
        database.execute('CREATE TABLE "customers" ("id")')
        with pytest.raises(sqlite3.OperationalError, match=r"no such column: record\.name"):
            database.execute(to_sql(shop(Field("name", "name")), "sqlite"))
