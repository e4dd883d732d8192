"""Who may import what: the tiers know nothing of each other, and each library is touched where it was decided to be."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.programs import ROOT

SHIPPED = ("joiner", "reader", "doctor", "shared")
OURS = {*SHIPPED, "stack", "tests", "bench"}
ALLOWED = {package: {package, "shared"} for package in SHIPPED}

EDGES = {
    "quixstreams": ("joiner/engine/",),
    "rocksdict": ("joiner/engine/",),
    "lmdb": ("reader/storage/store.py",),
    "starlette": ("reader/http/",),
    "uvicorn": (
        "reader/http/server.py",
        "reader/http/connection.py",
        "reader/http/server_state.py",
        "reader/http/fast_path.py",
    ),
}
"""Library -> the beginnings of the paths that may import it; no other module needs to know that it is there."""

PURE = (
    "joiner/core/rows.py",
    "joiner/core/users.py",
    "joiner/core/checkpoint.py",
    "joiner/core/compatibility.py",
    "joiner/dead_letters/letter.py",
    "reader/http/openapi.py",
    "reader/http/openapi_components.py",
    "reader/http/problems.py",
    "reader/http/response.py",
    "reader/replication/compatibility.py",
    "reader/status/readiness.py",
)
"""Modules that decide: no input, no output, no client library; orjson only turns bytes into values."""

INPUT_OUTPUT = {"os", "pathlib", "socket", "subprocess", "threading", "time", "asyncio", "logging", "random", "io"}


def modules(package: str) -> list[Path]:
    """Return the source files of a package."""
    return sorted((ROOT / package).rglob("*.py"))


def imported(module: Path) -> Iterator[str]:
    """Yield the top-level packages that a source file imports, wherever in it."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert 0 == node.level, f"{module} imports relatively; name the package"
            yield (node.module or "").partition(".")[0]


def importers(library: str) -> list[str]:
    """Return the shipped files that import a library."""
    files = [module for package in SHIPPED for module in modules(package)]
    return [str(file.relative_to(ROOT)) for file in files if library in imported(file)]


@pytest.mark.parametrize("package", SHIPPED)
def test_tiers_import_what_is_shared_and_never_each_other(package: str) -> None:
    """Nor does anything shipped import the stack, the tests or the measurements."""
    assert modules(package)
    for module in modules(package):
        assert set(imported(module)) & OURS <= ALLOWED[package], module


@pytest.mark.parametrize("library", EDGES)
def test_a_library_is_touched_at_its_edge_only(library: str) -> None:
    """Whoever replaces it changes these modules and no other."""
    found = importers(library)
    assert found
    assert [] == [file for file in found if not file.startswith(EDGES[library])]


def test_http_loads_neither_kafka_nor_lmdb() -> None:
    """The application is built without the replication and the store behind it, and so can be tested without them."""
    script = "import sys, reader.app; print(*({'confluent_kafka', 'lmdb', 'quixstreams'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert "" == loaded.stdout.strip()


@pytest.mark.parametrize("module", PURE)
def test_what_decides_is_pure(module: str) -> None:
    """Nothing but values goes in, nothing but values comes out."""
    names = set(imported(ROOT / module))
    assert set() == names & INPUT_OUTPUT
    assert names <= {*sys.stdlib_module_names, "orjson", "joiner", "reader", "shared"}


def test_shared_needs_the_standard_library_and_what_every_installation_has() -> None:
    """Whatever both tiers agree on must not bring either tier's libraries along."""
    names = {name for module in modules("shared") for name in imported(module)}
    assert names <= {*sys.stdlib_module_names, "shared", "click", "pydantic", "pydantic_settings"}


@pytest.mark.parametrize("tier", ["joiner", "reader"])
def test_a_tier_imports_no_library_that_its_extra_does_not_bring(tier: str) -> None:
    """An image is made from the extra alone; pydantic comes with its settings library."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"][tier], "pydantic"]
    brought = {line.split(";")[0].strip().partition(">")[0].partition("=")[0].partition("[")[0] for line in lines}
    origins = packages_distributions()
    for module in modules(tier):
        for name in set(imported(module)) - OURS - set(sys.stdlib_module_names):
            assert brought & {origin.replace("_", "-") for origin in origins[name]}, (
                f"{module} imports {name}, which the extra {tier} does not bring"
            )
