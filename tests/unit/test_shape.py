"""The shape of records, as `user-info` says it: what a view leads to, and what a record of another version is."""

import json

import pytest

from shared.shape import BUILT_IN_SHAPE, FieldShape, Shape, SumShape, parse_shape
from shared.view.model import BUILT_IN, Aggregate, Field, Source, View

SHOP = View(
    "customers",
    "customer_id",
    "customerId",
    (Field("name", "name"), Field("balance", "balance", "decimal", 2)),
    (
        Aggregate("orderCount", "orders", "customer_id"),
        Aggregate("items", "orders", "customer_id", column="items"),
        Aggregate("spent", "orders", "customer_id", column="total", scale=2),
    ),
    (Source("customers", "customers", ("customer_id",)), Source("orders", "orders", ("order_id",))),
)
SHOP_VALUE = (
    b'{"table": "customers", "id": "customerId", "fields": [{"key": "name", "type": "text", "scale": 0},'
    b' {"key": "balance", "type": "decimal", "scale": 2}], "counts": ["orderCount"],'
    b' "sums": [{"key": "items", "scale": null}, {"key": "spent", "scale": 2}]}'
)


def test_a_shape_has_the_views_keys_in_the_records_order() -> None:
    """For the built-in view, and for one with sums."""
    assert BUILT_IN.keys == BUILT_IN_SHAPE.keys
    assert SHOP.keys == Shape.of(SHOP).keys


def test_a_shape_is_written_as_an_object_and_read_back() -> None:
    """Byte for byte, since other programs read it."""
    expected = Shape(
        "customers",
        "customerId",
        (FieldShape("name", "text"), FieldShape("balance", "decimal", 2)),
        ("orderCount",),
        (SumShape("items"), SumShape("spent", 2)),
    )
    assert SHOP_VALUE == Shape.of(SHOP).encode()
    assert expected == Shape.of(SHOP) == parse_shape(SHOP_VALUE)


def test_more_than_this_version_knows_is_left_out() -> None:
    """A later version may add what this one need not know."""
    document = {**json.loads(SHOP_VALUE), "more": 1}
    assert Shape.of(SHOP) == parse_shape(json.dumps(document).encode())


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"[]",
        b"{}",
        SHOP_VALUE.replace(b'"table": "customers"', b'"table": 1'),
        SHOP_VALUE.replace(b'"text"', b'"no-type"'),
        SHOP_VALUE.replace(b'"text"', b"[]"),
        SHOP_VALUE.replace(b'"scale": 2', b'"scale": -2'),
        SHOP_VALUE.replace(b'"scale": 2', b'"scale": true'),
        SHOP_VALUE.replace(b'"counts": ["orderCount"]', b'"counts": {"orderCount": 1, "x": 2}')[:-1],
        SHOP_VALUE.replace(b'"orderCount"', b'"name"'),
    ],
)
def test_what_is_no_shape_is_none(value: bytes | None) -> None:
    """A tombstone, another program's record, or a type of a later version."""
    assert None is parse_shape(value)
