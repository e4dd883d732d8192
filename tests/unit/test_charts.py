"""Charts of the documents: each one is what its result file makes, and shows nothing that the page does not say."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.charts import CHARTS, draw
from tests.support.programs import ROOT

RESULTS, OUTPUT = ROOT / "docs" / "results", ROOT / "docs" / "charts"
PAGE = (ROOT / "docs" / "performance.md").read_text()

DRAWN = {"latencyMs", "latency", "rate", "rows/s", "CPU s", "peak MB", "p50 s", "p95 s", "max s", "to fresh p50 s"}
"""Keys of result files under which measured figures lie."""


def figures(value: object, *, measured: bool = False) -> Iterator[float]:
    """Yield the measured figures of a result."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from figures(part, measured=measured or key in DRAWN)
    elif isinstance(value, list):
        for part in value:
            yield from figures(part, measured=measured)
    elif measured and isinstance(value, int | float):
        yield value


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_what_its_results_make(name: str, tmp_path: Path) -> None:
    """`python -m bench charts` changes no byte of what is published."""
    assert (OUTPUT / f"{name}.svg").read_text() == draw(name, RESULTS, tmp_path).read_text()


def test_every_chart_is_shown() -> None:
    """No chart and no result file lies there that nothing shows, and the page shows no other."""
    names = set(CHARTS)
    assert names == {file.stem for file in OUTPUT.iterdir()}
    assert names == set(re.findall(r"\]\(charts/([\w-]+)\.svg\)", PAGE))
    assert {source for source, _, _ in CHARTS.values()} == {file.stem for file in RESULTS.iterdir()}


@pytest.mark.parametrize("source", sorted({source for source, _, _ in CHARTS.values()}))
def test_figures_of_results_are_those_of_the_page(source: str) -> None:
    """A new measurement changes the result file, the chart and the page together."""
    found = json.loads((RESULTS / f"{source}.json").read_text())
    said = {float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", PAGE)}
    shown = set(figures(found))
    assert shown
    assert set() == shown - said
    assert found["command"][1] in PAGE


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_says_nothing_of_where_it_was_drawn(name: str) -> None:
    """No date, and no folder of the machine."""
    text = (OUTPUT / f"{name}.svg").read_text()
    assert "dc:date" not in text
    assert str(ROOT) not in text
