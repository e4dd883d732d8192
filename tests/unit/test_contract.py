"""The names that other programs use: none may change.

A new name is listed in `ADDITIONS`. A response that gains a header is another line of `contract.json`: edit that line.

`contract.json` was collected from the version that deployments, dashboards and clients were first built against.
"""

import json
from pathlib import Path

import pytest

from tests.support.contract import collect

CONTRACT: dict[str, list[str]] = json.loads(Path(__file__).with_name("contract.json").read_text())

ADDITIONS: dict[str, list[str]] = {
    "commands": [
        "python -m bench charts",
        "python -m bench charts --output <directory> = docs/charts",
        "python -m bench charts --results <directory> = docs/results",
        "python -m doctor",
        "python -m doctor --connector <text> multiple = ['http://127.0.0.1:8083/connectors/user-info']",
        "python -m doctor --joiner <text> multiple = ['http://127.0.0.1:8001']",
        "python -m doctor --reader <text> multiple = ['http://127.0.0.1:8000']",
    ],
}
"""What was added since, by kind."""


@pytest.fixture(scope="module")
def collected() -> dict[str, list[str]]:
    """Give the names as the code has them now."""
    return collect()


def test_every_kind_of_name_is_compared(collected: dict[str, list[str]]) -> None:
    """No list is empty, and none is left out."""
    assert list(CONTRACT) == list(collected)
    assert ADDITIONS.keys() <= CONTRACT.keys()
    assert all(CONTRACT.values())


@pytest.mark.parametrize("kind", CONTRACT)
def test_no_name_changes_and_each_addition_is_listed(kind: str, collected: dict[str, list[str]]) -> None:
    """A variable, topic, header, metric, alert, problem, command, event or stored key keeps its name."""
    known = {*CONTRACT[kind], *ADDITIONS.get(kind, [])}
    assert ([], []) == (sorted(known - set(collected[kind])), sorted(set(collected[kind]) - known))
