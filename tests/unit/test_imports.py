"""What each folder promises: the libraries that it touches, the folders of ours that it knows, their sizes."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.programs import ROOT
from tests.support.promises import PROMISES

SHIPPED = ("joiner", "reader", "replication", "sink", "poller", "doctor", "shared")
OURS = {*SHIPPED, "stack", "tests", "bench"}

MOST_LINES = 250
"""Of a file: beyond that it has more than one reason to change."""

MOST_FUNCTION_LINES = 60

INPUT_OUTPUT = {"os", "pathlib", "socket", "subprocess", "threading", "time", "asyncio", "logging", "random", "io"}


ONLY_IMPORTER = {
    "quixstreams": "joiner/engine",
    "rocksdict": "joiner/engine",
    "lmdb": "reader/storage",
    "httptools": "reader/http",
    "redis": "sink/redis",
    "fastavro": "joiner/core",
    "starlette": "reader/http",
    "uvicorn": "reader/http",
}
"""Library -> the one folder that knows it, so that replacing it changes nothing elsewhere."""

ONLY_FILES = {
    "httptools": {"reader/http/connection.py"},
    "starlette": {"reader/http/events_route.py", "reader/http/routes.py", "reader/http/static_routes.py"},
    "uvicorn": {
        "reader/http/connection.py",
        "reader/http/fast_path.py",
        "reader/http/server.py",
        "reader/http/server_state.py",
    },
}
"""Library -> the files of its folder that know it: responses are decided without a server."""

STREAMS_OF_MEMORY = {"joiner/core/avro.py"}
"""Files that read bytes by `io`, and nothing else."""

PURE = {
    "doctor/checks.py": "pydantic",
    "doctor/connect_status.py": "",
    "doctor/source_rows.py": "",
    "joiner/dead_letters/letter.py": "orjson",
    "joiner/dead_letters/replay_policy.py": "orjson",
    "poller/columns.py": "",
    "poller/horizon.py": "",
    "poller/tables.py": "",
    "reader/http/problems.py": "",
    "reader/http/response.py": "",
    "reader/status/counters.py": "",
    "replication/batch.py": "",
    "replication/compatibility.py": "",
    "replication/description.py": "",
    "replication/freshness.py": "",
    "replication/lags.py": "",
    "replication/positions.py": "",
    "replication/readiness.py": "",
    "replication/records.py": "",
    "replication/wholeness.py": "",
    "sink/postgres/columns.py": "",
    "sink/postgres/statements.py": "",
    "sink/records.py": "",
    "sink/redis/commands.py": "",
    "sink/state.py": "",
    "shared/builds.py": "",
    "shared/heartbeats.py": "",
    "shared/parts.py": "",
    "shared/problems.py": "",
    "shared/records.py": "",
    "shared/topic_rules.py": "",
    "shared/topics.py": "",
}
"""Modules that decide in folders that also act -> the libraries that only turn bytes into values."""

PRIVATE_BY_THEIR_NAME_ALONE = {"_PARTITION_EOF", "_replace"}
"""A public error code of librdkafka's Python client, and what named tuples offer to all."""


def list_modules(folder: str) -> list[Path]:
    """Return the source files below a folder."""
    return sorted((ROOT / folder).rglob("*.py"))


def list_shipped() -> list[Path]:
    """Return all source files that ship."""
    return [module for package in SHIPPED for module in list_modules(package)]


def path_of(module: Path) -> str:
    """Return a file's path within the project."""
    return str(module.relative_to(ROOT))


def find_imports(module: Path) -> Iterator[str]:
    """Yield the modules that a source file imports, wherever in it, dots between their parts."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert 0 == node.level, f"{module} imports relatively; name the package"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if _file_of(whole) is not None else node.module or ""


def find_packages(module: Path) -> set[str]:
    """Return the top-level packages that a source file imports."""
    return {name.partition(".")[0] for name in find_imports(module)}


def find_libraries(module: Path) -> set[str]:
    """Return the packages among them that are neither ours nor Python's."""
    return find_packages(module) - OURS - set(sys.stdlib_module_names)


def _file_of(dotted: str) -> Path | None:
    path = ROOT / dotted.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)


def find_our_imports(module: Path) -> set[Path]:
    """Return the files of ours that a source file imports."""
    ours = {_file_of(name) for name in find_imports(module) if name.partition(".")[0] in OURS}
    return {file for file in ours if file is not None}


def list_folders() -> set[str]:
    """Return the folders that ship and hold code."""
    return {str(module.parent.relative_to(ROOT)) for module in list_shipped()}


def test_every_folder_has_its_promise() -> None:
    """A new folder says what it may import, and a promise without a folder goes."""
    assert set(PROMISES) == list_folders()


@pytest.mark.parametrize("folder", PROMISES)
def test_a_folder_imports_what_it_promises_and_nothing_else(folder: str) -> None:
    """No tier imports the other, and nothing that ships imports the stack, the tests or the measurements."""
    promise = PROMISES[folder]
    for module in sorted((ROOT / folder).glob("*.py")):
        assert find_libraries(module) <= set(promise.libraries.split()), module
        known = {str(file.parent.relative_to(ROOT)) for file in find_our_imports(module)}
        assert known <= {folder, *promise.knows.split()}, module
        memory = {"io"} if path_of(module) in STREAMS_OF_MEMORY else set()
        assert not promise.is_pure or memory == find_packages(module) & INPUT_OUTPUT, module


def test_no_promise_is_wider_than_what_the_folder_imports() -> None:
    """A library that a folder no longer needs is no longer allowed there."""
    for folder, promise in PROMISES.items():
        used = {library for module in (ROOT / folder).glob("*.py") for library in find_libraries(module)}
        assert set(promise.libraries.split()) == used, folder


@pytest.mark.parametrize("library", ONLY_IMPORTER)
def test_a_library_is_known_in_one_folder(library: str) -> None:
    """Replacing it changes this folder and no other."""
    found = {str(module.parent.relative_to(ROOT)) for module in list_shipped() if library in find_packages(module)}
    assert {ONLY_IMPORTER[library]} == found
    files = {path_of(module) for module in list_shipped() if library in find_packages(module)}
    assert ONLY_FILES.get(library, files) == files


@pytest.mark.parametrize("module", PURE)
def test_a_module_that_decides_is_pure(module: str) -> None:
    """Nothing but values goes in, nothing but values comes out."""
    assert set() == find_packages(ROOT / module) & INPUT_OUTPUT
    assert find_libraries(ROOT / module) <= set(PURE[module].split())


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Each can be read after those that it imports."""
    graph = {path_of(module): {path_of(file) for file in find_our_imports(module)} for module in list_shipped()}
    order = list(TopologicalSorter(graph).static_order())
    assert set(graph) == set(order)


EXTRAS = {
    "joiner": ["joiner"],
    "reader": ["reader", "replication"],
    "doctor": ["doctor"],
    "poller": ["poller"],
    "sink-postgres": ["sink", "sink/postgres", "replication", "replication/kafka"],
    "sink-redis": ["sink", "sink/redis", "replication", "replication/kafka"],
}
"""Extra -> the folders whose libraries it brings; one that is a tier's name brings those of all that is below."""


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_package_imports_no_library_that_its_extra_does_not_bring(extra: str) -> None:
    """An image is made from the extra alone; pydantic comes with its settings library."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"][extra], "pydantic"]
    brought = {re.split(r"[;>=<\[ ]", line.strip())[0] for line in lines}
    origins = packages_distributions()
    for folder in EXTRAS[extra]:
        for module in list_modules(folder) if "-" not in extra else sorted((ROOT / folder).glob("*.py")):
            for name in find_libraries(module):
                assert brought & {origin.replace("_", "-") for origin in origins[name]}, (
                    f"{module} imports {name}, which the extra {extra} does not bring"
                )


def test_private_parts_of_another_class_are_touched_in_the_engine_alone() -> None:
    """A name that begins with an underscore belongs to its class; those of Quix stay behind one wall."""
    touched = {
        f"{path_of(module)}: {node.attr}"
        for module in list_shipped()
        if not path_of(module).startswith("joiner/engine/")
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Attribute) and _is_foreign(node) and node.attr not in PRIVATE_BY_THEIR_NAME_ALONE
    }
    assert set() == touched


def _is_foreign(node: ast.Attribute) -> bool:
    private = node.attr.startswith("_") and not node.attr.startswith("__")
    return private and ast.unparse(node.value) not in {"self", "cls", "super()"}


@pytest.mark.parametrize("package", SHIPPED)
def test_no_file_and_no_function_is_too_long_to_be_read_at_once(package: str) -> None:
    """A longer one is split where it has two reasons to change."""
    for module in list_modules(package):
        text = module.read_text()
        assert len(text.splitlines()) <= MOST_LINES, module
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < MOST_FUNCTION_LINES, f"{module}: {node.name}"
