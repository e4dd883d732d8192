"""A workload for a view that is far larger than the built-in one: a table of 40 columns, and 12 aggregates over 5 more.

The truth is kept while rows are made, as for the built-in view's workload.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import orjson

from bench.joiner.workload import Row, Workload

FIELDS = 39
"""Besides the id; most are text of some 20 characters, as those of the built-in view are."""

STATUSES = ("open", "paid", "paid", "paid", "gone")


@dataclass(frozen=True, slots=True)
class _Aggregate:
    """One aggregate of the view.

    Args:
        key: of the record.
        table: whose rows are aggregated.
        summed: the column that is summed; None: rows are counted.
        status: what the rows' status must be; None: anything.
    """

    key: str
    table: str
    summed: str | None = None
    status: str | None = None

    def to_toml(self) -> str:
        """Return its line of the view's file."""
        where = "" if self.status is None else f', where = {{ status = "{self.status}" }}'
        column = "" if self.summed is None else f', column = "{self.summed}"'
        return f'{self.key} = {{ of = "{self.table}", by = "customer_id"{column}{where} }}'


COUNTS = (
    _Aggregate("orderCount", "orders"),
    _Aggregate("openOrderCount", "orders", status="open"),
    _Aggregate("paymentCount", "payments"),
    _Aggregate("failedPaymentCount", "payments", status="gone"),
    _Aggregate("reviewCount", "reviews"),
    _Aggregate("visitCount", "visits"),
    _Aggregate("ticketCount", "tickets", status="open"),
)
SUMS = (
    _Aggregate("spentCents", "orders", "amount", "paid"),
    _Aggregate("paidCents", "payments", "amount"),
    _Aggregate("stars", "reviews", "amount"),
    _Aggregate("visitSeconds", "visits", "amount"),
    _Aggregate("ticketMinutes", "tickets", "amount", "paid"),
)


@dataclass
class WideWorkload(Workload):
    """Rows of customers and of what refers to them; `counts` holds the sums as well."""

    shares: ClassVar = {
        "customers": 0.05,
        **dict.fromkeys(("orders", "payments", "reviews", "visits", "tickets"), 0.19),
    }
    keys: ClassVar = tuple(each.key for each in (*COUNTS, *SUMS))
    view: ClassVar = "\n".join(
        [
            '[record]\nof = "customers"\nid = "customer_id"\nas = "customerId"\n\n[fields]',
            *(f'field{number} = "column_{number}"' for number in range(FIELDS)),
            "\n[counts]",
            *(each.to_toml() for each in COUNTS),
            "\n[sums]",
            *(each.to_toml() for each in SUMS),
        ]
    )

    def _make_row(self, chance: random.Random, table: str, number: int, owners: Iterator[int]) -> Row:
        if table == "customers":
            fields = {f"column_{place}": f"value {number} of {place:>8}" for place in range(FIELDS)}
            return table, b"%d" % number, orjson.dumps({"customer_id": number, **fields})
        owner, status, amount = next(owners), chance.choice(STATUSES), chance.randrange(10_000)
        for place, each in enumerate((*COUNTS, *SUMS)):
            if each.table == table and each.status in (None, status):
                self.counts[owner][place] += 1 if each.summed is None else amount
        row = {f"{table.removesuffix('s')}_id": number, "customer_id": owner, "status": status, "amount": amount}
        return table, b"%d" % number, orjson.dumps({**row, "note": f"row {number} of {table}"})
