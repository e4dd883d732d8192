"""Every error that reaches a person says what to do about it, besides what happened."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from shared.errors import UserInformationError
from tests.support.programs import ROOT

PACKAGES = ("joiner", "reader", "replication", "sink", "doctor", "shared")

HANDLED = {
    "BadRow": "it becomes a dead letter, whose detail says what is wrong",
    "Interrupted": "the joiner begins again from the last commit",
    "DamagedError": "the reader deletes the copy and replays the topic",
    "StoreFullError": "the reader waits for room, and says so in /readyz",
    "StoreUnavailable": "the sink tries again, and shows it in /readyz",
    "StoreChanged": "the sink begins another session with what the store says",
    "Claimed": "the sink waits for the claim for a while, and then raises AlreadyRunning",
    "BeginAnew": "the sink builds another copy",
    "SnapshotRefused": "the reader replays the topic instead",
}
"""Error -> what the program itself does about it, so that no person has to."""

NEEDS_NO_HINT = {
    "shared/settings.py read_settings": "says of each variable what it must be",
    "shared/kafka.py filter_known_properties": "says in the client's own words what it refuses, and the variable",
    "replication/kafka/errors.py translate_errors": "the reader tries again, and shows it in /readyz",
    "replication/session.py _finish": "the reader tries again, and shows it in /readyz",
}
"""Function that makes an error -> why that is enough."""


def list_errors() -> dict[str, type[UserInformationError]]:
    """Return our errors by name."""
    for package in PACKAGES:
        for module in sorted((ROOT / package).rglob("*.py")):
            if module.name != "__main__.py":
                import_module(".".join(module.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    found, unseen = {}, [UserInformationError]
    while unseen:
        error = unseen.pop()
        found[error.__name__] = error
        unseen += error.__subclasses__()
    return found


def find_errors_without_hint(module: Path, errors: dict[str, type[UserInformationError]]) -> Iterator[str]:
    """Yield the functions of a source file that make an error with nothing but what happened."""
    for function in ast.walk(ast.parse(module.read_text())):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in errors):
                continue
            has_hint = len(node.args) > 1 or "hint" in {keyword.arg for keyword in node.keywords}
            if node.func.id not in HANDLED and not has_hint:
                yield f"{module.relative_to(ROOT)} {function.name}"


def test_every_exemption_is_of_an_error_that_exists() -> None:
    """An error that is gone, or got its hint, is no longer exempt."""
    errors = list_errors()
    assert HANDLED.keys() <= errors.keys()
    files = {ROOT / place.partition(" ")[0] for place in NEEDS_NO_HINT}
    assert {*NEEDS_NO_HINT} == {place for file in files for place in find_errors_without_hint(file, errors)}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_error_says_what_to_do(package: str) -> None:
    """The first part says what happened, the second what the operator does about it."""
    errors = list_errors()
    modules = sorted((ROOT / package).rglob("*.py"))
    found = {place for module in modules for place in find_errors_without_hint(module, errors)}
    assert set() == found - NEEDS_NO_HINT.keys()
