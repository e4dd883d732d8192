"""A view's SQL in a real PostgreSQL: it runs on columns of every type, and says what the record says."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from shared.view.file import parse_view
from shared.view.model import BUILT_IN, View
from shared.view.sql import to_sql
from stack.servers.postgres import Postgres

pytestmark = pytest.mark.end_to_end

TABLES = """
CREATE TABLE customers (id bigint, name text, active boolean, "odd ""name" uuid, amount numeric(12, 2), tags text[],
    document jsonb, born date, plain timestamp, zoned timestamptz, inviter bigint);
INSERT INTO customers VALUES
    (1, 'Zoë', true, 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6', -12.5, '{a,b}', '{"a": [1, 2.50]}', '1969-12-31',
        '1969-12-31 23:59:59.999999', '2009-01-14 04:04:36+02', NULL),
    (2, NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1);
CREATE TYPE status AS ENUM ('open', 'paid', 'gone');
CREATE TABLE orders (customer bigint, status status, express boolean, total numeric(12, 2), points bigint);
INSERT INTO orders VALUES
    (1, 'open', true, 0.10, 9223372036854775807), (1, 'paid', false, 0.20, 9223372036854775807),
    (1, 'gone', NULL, 5, NULL), (1, NULL, true, NULL, -1), (NULL, 'open', true, 1000, 1000);
"""
VIEW = r"""
[record]
of = "customers"
id = "id"
as = "id"
[fields]
name = "name"
active = "active"
odd = "odd \"name"
amount = { column = "amount", type = "decimal", scale = 3 }
amountText = "amount"
tags = { column = "tags", type = "json" }
document = { column = "document", type = "json" }
born = { column = "born", type = "date" }
millis = { column = "plain", type = "timestamp-millis" }
micros = { column = "plain", type = "timestamp-micros" }
nanos = { column = "plain", type = "timestamp-nanos" }
zoned = "zoned"
zonedMicros = { column = "zoned", type = "timestamp-micros" }
[counts]
orders = { of = "orders", by = "customer" }
open = { of = "orders", by = "customer", where = { status = ["open", "paid"], express = true } }
notGone = { of = "orders", by = "customer", where = { status = { not = "gone" } } }
known = { of = "orders", by = "customer", where = { status = { null = false } } }
unknown = { of = "orders", by = "customer", where = { express = { null = true } } }
invited = { of = "customers", by = "inviter" }
[sums]
total = { of = "orders", by = "customer", column = "total", scale = 2 }
points = { of = "orders", by = "customer", column = "points" }
"""
ALICE = {
    "id": "1",
    "name": "Zoë",
    "active": "true",
    "odd": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    "amount": "-12.500",
    "amountText": "-12.50",
    "tags": ["a", "b"],
    "document": '{"a": [1, 2.50]}',
    "born": "1969-12-31",
    "millis": "1969-12-31T23:59:59.999Z",
    "micros": "1969-12-31T23:59:59.999999Z",
    "nanos": "1969-12-31T23:59:59.999999000Z",
    "zoned": "2009-01-14T02:04:36.000000Z",
    "zonedMicros": "2009-01-14T02:04:36.000000Z",
    "orders": 4,
    "open": 1,
    "notGone": 3,
    "known": 3,
    "unknown": 1,
    "invited": 1,
    "total": "5.30",
    "points": 2 * (2**63 - 1) - 1,
}
BOB = {
    **dict.fromkeys(ALICE, None),
    "id": "2",
    "active": "false",
    **dict.fromkeys(("orders", "open", "notGone", "known", "unknown", "invited", "points"), 0),
    "total": "0.00",
}


def test_columns_of_every_type_are_shown_as_the_record_shows_them(stack_folder: Path) -> None:
    """Whatever the session's time zone; sums are exact beyond 64 bits, and one record is found by its id."""
    with Postgres(stack_folder / "postgres", durable=False) as postgres, psycopg.connect(postgres.dsn) as connection:
        connection.execute("SET TIME ZONE 'America/New_York'")
        connection.execute("CREATE SCHEMA shop")
        connection.execute("SET search_path = shop, public")
        connection.execute(TABLES)
        view = parse_view(VIEW)
        assert [ALICE, BOB] == select(connection, view, "= ANY('{1,2}') ORDER BY 1")
        assert [BOB] == select(connection, view, "= 2")
        connection.execute("INSERT INTO users (username, joined_date) VALUES ('u', '2009-01-14 02:04:36+00')")
        (user,) = select(connection, BUILT_IN)
        assert ("u", "2009-01-14T02:04:36.000000Z", 0) == (user["username"], user["joinedDate"], user["likeCount"])


def select(connection: psycopg.Connection, view: View, only: str = "") -> list[dict[str, Any]]:
    """Return the records of a view, key -> value."""
    found = connection.execute(to_sql(view, "postgresql", only).encode())
    return [dict(zip(view.keys, row, strict=True)) for row in found]
