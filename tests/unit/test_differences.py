"""What a row's change does to counts and sums, in single steps."""

import pytest

from joiner.core.columns import Values
from joiner.core.differences import check_sums, diff_owners, diff_terms
from joiner.core.plan import Table, compile_view
from shared.errors import BadRow
from shared.unavailable import UNAVAILABLE
from shared.view.file import parse_view
from tests.support.built_in import FOLLOWS, LIKES, TABLES, TWEETS

TWEET_COUNT, FOLLOWING_COUNT, FOLLOWER_COUNT, LIKE_COUNT = range(4)

SHOP = compile_view(
    parse_view("""
[record]
of = "customers"
id = "customer_id"
as = "id"

[counts]
orders = { of = "orders", by = "customer_id" }
open = { of = "orders", by = "customer_id", where = { status = ["new", "paid"], gone = { null = true } } }
gifts = { of = "orders", by = "given_to", where = { status = { not = "void" } } }
invited = { of = "customers", by = "invited_by" }

[sums]
spent = { of = "orders", by = "customer_id", column = "price", scale = 2, where = { status = "paid" } }
units = { of = "orders", by = "customer_id", column = "units" }
""")
)
ORDERS = SHOP.tables["orders"]
ORDERS_COUNT, OPEN, GIFTS, INVITED, SPENT, UNITS = range(6)


def order(
    customer: str | None = "a",
    status: str | None = "new",
    price: str | None = None,
    *,
    units: str | None = None,
    given_to: str | None = None,
) -> Values:
    """Return what is kept of an order that is not gone."""
    row = {
        "customer_id": customer,
        "given_to": given_to,
        "status": status,
        "gone": None,
        "price": price,
        "units": units,
    }
    return tuple(row[column] for column in ORDERS.columns)


@pytest.mark.parametrize(
    ("table", "old", "new", "expected"),
    [
        (TWEETS, None, ("a",), [("a", TWEET_COUNT, 1)]),
        (LIKES, None, ("a",), [("a", LIKE_COUNT, 1)]),
        (FOLLOWS, None, ("a", "b"), [("a", FOLLOWING_COUNT, 1), ("b", FOLLOWER_COUNT, 1)]),
        (FOLLOWS, None, ("a", "a"), [("a", FOLLOWING_COUNT, 1), ("a", FOLLOWER_COUNT, 1)]),
        (LIKES, ("a",), ("a",), []),
        (LIKES, ("a",), ("b",), [("a", LIKE_COUNT, -1), ("b", LIKE_COUNT, 1)]),
        (FOLLOWS, ("a", "b"), ("a", "c"), [("b", FOLLOWER_COUNT, -1), ("c", FOLLOWER_COUNT, 1)]),
        (LIKES, ("a",), None, [("a", LIKE_COUNT, -1)]),
        (LIKES, None, None, []),
        (LIKES, None, (None,), []),
        (LIKES, (None,), ("a",), [("a", LIKE_COUNT, 1)]),
        (LIKES, ("a",), (None,), [("a", LIKE_COUNT, -1)]),
    ],
)
def test_new_owners_less_old_owners_are_the_count_changes(
    table: Table, old: Values | None, new: Values | None, expected: list[tuple[str, int, int]]
) -> None:
    """Insert, move, delete, double delete, redelivery, NULL owner, self-follow: each a subtraction, in both ways."""
    assert expected == list(diff_owners(table, old, new))
    assert expected == diff_terms(table, old, new)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, order(), [("a", ORDERS_COUNT, 1), ("a", OPEN, 1)]),
        (order(), order(status="void"), [("a", OPEN, -1)]),
        (order(status="void"), order(status="paid"), [("a", OPEN, 1)]),
        (order(status="new"), order(status="paid", price="1.50"), [("a", SPENT, 150)]),
        (order(status="paid", price="1.50"), order(status="paid", price="0.25"), [("a", SPENT, -125)]),
        (order(status="paid", price="1.50"), order(status="paid", price="1.5"), []),
        (order(status="paid", price="1"), None, [("a", ORDERS_COUNT, -1), ("a", OPEN, -1), ("a", SPENT, -100)]),
        (order(units="3"), order("b", units="4"), [
            ("a", ORDERS_COUNT, -1), ("b", ORDERS_COUNT, 1), ("a", OPEN, -1), ("b", OPEN, 1),
            ("a", UNITS, -3), ("b", UNITS, 4),
        ]),
        (order(None), order(None, given_to="b"), [("b", GIFTS, 1)]),
        (order(None, None), order(None, None, given_to="b"), [("b", GIFTS, 1)]),
        (order(None, "void"), order(None, "void", given_to="b"), []),
        (order(None, price="x"), order(None, price="y"), []),
    ],
)  # fmt: skip
def test_a_change_is_what_the_new_row_adds_less_what_the_old_one_added(
    old: Values | None, new: Values | None, expected: list[tuple[str, int, int]]
) -> None:
    """A row moves between owners, and into and out of conditions; a null adds nothing, and satisfies `not`."""
    assert expected == diff_terms(ORDERS, old, new)


def test_what_is_summed_must_be_a_number_where_it_counts() -> None:
    """A letter says the column, the value, and what to do about decimals; elsewhere the column may hold anything."""
    with pytest.raises(
        BadRow, match="bad-value: the column price cannot be summed: it holds 'AYag', no number; set dec"
    ):
        diff_terms(ORDERS, None, order(status="paid", price="AYag"))
    with pytest.raises(BadRow, match=r"it holds '1\.255', a number of more than 2 places"):
        check_sums(ORDERS, order(status="paid", price="1.255"))
    check_sums(ORDERS, order(status="paid", price=UNAVAILABLE))
    check_sums(ORDERS, order(status="void", price="AYag"))
    check_sums(ORDERS, None)


def test_a_table_keeps_each_column_once_and_only_what_is_read() -> None:
    """Owners in the aggregates' order, then what conditions read, then what is summed."""
    assert ("customer_id", "given_to", "status", "gone", "price", "units") == ORDERS.columns
    assert ("order_id", *ORDERS.columns) == ORDERS.reads
    customers = SHOP.tables["customers"]
    assert (("invited_by",), ()) == (customers.columns, customers.plain_counts)
    assert [(), ("user_id",), ("follower_id", "followee_id"), ("user_id",)] == [table.columns for table in TABLES]
    assert [(), ((0, 0),), ((0, 1), (1, 2)), ((0, 3),)] == [table.plain_counts for table in TABLES]
