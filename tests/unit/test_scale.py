"""docs/scale.md multiplies what was measured as it says."""

import re

import pytest

from bench.joiner.workload import Workload
from tests.support.documents import read_table

UNITS = {"GB": 1e9, "TB": 1e12, "s": 1.0, "min": 60.0, "h": 3600.0, "million": 1e6, "billion": 1e9}
"""What sizes, times and numbers are written in -> how many bytes, seconds or pieces it is."""

EACH = {"bytes": 1.0, "µs": 1e-6, "": 1.0}
ROWS = 20
"""Of a user, as in the workload that joiners are measured with."""


def test_what_is_sized_on_paper_is_a_multiple_of_what_was_measured() -> None:
    """Each cell of the table is its row's figure times the users, or the rows, of its column, but for rounding."""
    measured = " ".join(cell for _, cell, _ in read_table("What was measured", "scale.md"))
    for what, each, *cells in read_table("On paper", "scale.md"):
        assert "bytes" not in each or each in measured, what
        found = re.fullmatch(r"([\d.]+)(?: (bytes|µs))? a (user|row)", each)
        assert found is not None, what
        piece = float(found[1]) * EACH[found[2] or ""] * (ROWS if found[3] == "row" else 1)
        for users, cell in zip((1e6, 1e7, 1e8, 3e8), cells, strict=True):
            number, _, unit = cell.partition(" ")
            assert float(number) * UNITS[unit] == pytest.approx(piece * users, rel=0.04), (what, cell)
    sizes = Workload(1_000_000).sizes
    assert sum(sizes.values()) / sizes["users"] == ROWS
