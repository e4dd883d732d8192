"""The example of another shop's tables: every customer is answered as the view's SQL says, whatever changes."""

from pathlib import Path

import psycopg
import pytest
from jsonschema import Draft202012Validator

from shared.shape import Shape
from shared.view.sql import to_sql
from stack.examples import find_example
from stack.traffic import keep_changing
from tests.support.pipelines import Pipeline, Servers
from tests.support.sinks import both_sinks
from tests.support.waiting import wait_for

pytestmark = pytest.mark.end_to_end

SHOP = find_example("shop")
CHANGES = (
    "UPDATE orders SET status = 'sent' WHERE status = 'paid'",
    "UPDATE orders SET cancelled_at = now() WHERE status = 'placed' AND total > 150",
    "UPDATE orders SET customer_id = 1, gift = true WHERE customer_id = 2",
    "UPDATE order_items SET quantity = quantity + 100 WHERE line = 1 AND customer_id = 1",
    "UPDATE order_items SET line = line + 1000 WHERE line = 2",
    "UPDATE reviews SET published = NOT published, stars = 5 WHERE customer_id < 10",
    "UPDATE customers SET referrer_id = 1, credit_limit = NULL, born = NULL WHERE customer_id BETWEEN 5 AND 9",
    "DELETE FROM orders WHERE status = 'returned'",
    "DELETE FROM reviews WHERE stars < 3",
    "DELETE FROM customers WHERE customer_id = 3",
)
"""What the load may not come to: each statement moves rows between customers, or into and out of conditions."""

NEW_COLUMNS = (
    "ALTER TABLE customers ADD COLUMN phone text",
    "ALTER TABLE orders ADD COLUMN note text NOT NULL DEFAULT 'none'",
    "UPDATE customers SET phone = '555' WHERE customer_id BETWEEN 10 AND 20",
)


def test_customers_are_answered_as_the_views_sql_says(servers: Servers, stack_folder: Path) -> None:
    """After a snapshot, a load with deletions and changes of status, and new columns in between."""
    with Pipeline(servers, "shop", example=SHOP) as pipeline:
        dsn, reader = pipeline.service.dsn, pipeline.reader
        keep_changing(dsn, 300, 1, print, changes=SHOP.changes)
        pipeline.service.sql(*NEW_COLUMNS)
        keep_changing(dsn, 300, 1, print, changes=SHOP.changes)
        pipeline.service.sql(*CHANGES)
        with psycopg.connect(dsn) as connection:
            statement = f"SELECT to_json(record) FROM ({to_sql(SHOP.view, 'postgresql')}) AS record"
            truth = {record["customerId"]: record for (record,) in connection.execute(statement.encode())}
        assert len(truth) > 20
        assert any(record["spent"] != "0.00" and record["openOrderCount"] for record in truth.values())

        def answers() -> dict[str, object]:
            found = {customer: reader.get(f"/customers/{customer}") for customer in truth}
            return {customer: answer.json() for customer, answer in found.items() if answer.is_success}

        wait_for(lambda: answers() == truth, 60, "every customer as SQL says")
        wait_for(lambda: reader.get("/customers/3").status_code == 404, 30, "the deleted customer gone")
        assert {} == pipeline.topics.latest("user-info-dead-letters")
        described = Draft202012Validator(reader.get("/openapi.json").json()["components"]["schemas"]["Record"])
        for record in truth.values():
            described.validate(record)
        with both_sinks(pipeline.topics.settings(), dsn, stack_folder) as stores:
            bodies = {customer.encode(): reader.get(f"/customers/{customer}").content for customer in truth}
            for store in stores:
                expected = {key: store.expect(body, Shape.of(SHOP.view)) for key, body in bodies.items()}
                assert expected == store.read()
