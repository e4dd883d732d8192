"""Every test compares in one order, `assert expected == actual`, so that a failure reads the same everywhere."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import ROOT


def find_comparisons(file: Path) -> Iterator[ast.Compare]:
    """Yield the equalities that a file's asserts consist of."""
    for node in ast.walk(ast.parse(file.read_text())):
        tests = [node.test] if isinstance(node, ast.Assert) else []
        while tests:
            test = tests.pop()
            if isinstance(test, ast.BoolOp):
                tests += test.values
            elif isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq | ast.NotEq):
                yield test


def is_literal(node: ast.expr) -> bool:
    """Say whether an expression is written out, with nothing to be computed."""
    try:
        ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node) == "set()"
    return True


@pytest.mark.parametrize("file", sorted((ROOT / "tests").rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_what_is_expected_comes_first(file: Path) -> None:
    """A literal is what is expected; the other side is what the code gives."""
    turned = [
        f"{comparison.lineno}: {ast.unparse(comparison)}"
        for comparison in find_comparisons(file)
        if is_literal(comparison.comparators[0]) and not is_literal(comparison.left)
    ]
    assert [] == turned
