"""Reads the tables of the documents."""

import re

from tests.support.programs import ROOT


def read_table(heading: str, page: str = "layout.md") -> list[list[str]]:
    """Return the rows of the first table below a heading of a page in docs/, without its head."""
    text = (ROOT / "docs" / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]
