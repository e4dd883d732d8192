"""What the documents name exists: links, files, verbs, commands, options, variables."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pydantic_settings import BaseSettings

import bench.cli
import doctor.cli
import joiner.cli
import poller.cli
import reader.cli
import sink.cli
import stack.cli
from doctor.checks import DoctorSettings
from joiner.settings import JoinerSettings
from poller.settings import PollerSettings
from reader.http.openapi import build_document
from reader.http.routes import EXPOSED_HEADERS
from reader.settings import ReaderSettings
from shared.records import COUNT_KEYS, PROFILE_COLUMNS
from sink.settings import PostgresSettings, RedisSettings
from stack.run import RunSettings
from tests.support.contract import collect
from tests.support.documents import read_table
from tests.support.programs import ROOT
from tests.support.promises import PROMISES
from tests.support.record_path import read_documented_path

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
SETTINGS: tuple[type[BaseSettings], ...] = (
    JoinerSettings,
    ReaderSettings,
    PollerSettings,
    PostgresSettings,
    RedisSettings,
    DoctorSettings,
    RunSettings,
)
PROGRAMS: dict[str, click.Command] = {
    "joiner": joiner.cli.main,
    "reader": reader.cli.main,
    "poller": poller.cli.main,
    "doctor": doctor.cli.main,
    "sink": sink.cli.main,
    "stack": stack.cli.main,
    "bench": bench.cli.commands,
}
FILE = re.compile(
    r"(?<![\w./-])((?:[\w.-]+/)+(?:[\w-]+\.\w+)?|(?:[\w-]+/)*[\w-]+\.(?:py|md|toml|yaml|lock))(?![\w/*-])"
)
FIGURE = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?")
VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")

documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def read_code(document: Path) -> str:
    """Return what a document shows as code: spans between backticks, and indented or fenced blocks."""
    text = document.read_text()
    fenced = re.findall(r"^ *```.*?\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"(?:^(?: {4}).*\n)+", rest, re.MULTILINE)
    spans = re.findall(r"`([^`]+)`", rest)
    return "\n".join([*fenced, *blocks, *(" ".join(span.split()) for span in spans)])


def read_sources() -> str:
    """Return the text of all files that are not documents."""
    folders = (
        "shared",
        "joiner",
        "reader",
        "replication",
        "sink",
        "poller",
        "doctor",
        "stack",
        "tests",
        "bench",
        "ops",
    )
    files = [file for folder in folders for file in (ROOT / folder).rglob("*") if file.suffix in {".py", ".yml"}]
    return "\n".join(file.read_text() for file in [*files, ROOT / "Makefile", ROOT / "compose.yaml", ROOT / ".ci/run"])


def find_headings(document: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_documents_are_there() -> None:
    """The tests below have documents to read."""
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/design.md"} <= {
        str(document.relative_to(ROOT)) for document in DOCUMENTS
    }


@documents
def test_links_lead_to_files_and_headings(document: Path) -> None:
    """A relative link names a file of the project, and an anchor a heading of it."""
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), link
        assert not anchor or anchor in find_headings(target), link


@documents
def test_files_that_are_named_exist(document: Path) -> None:
    """A named file exists, except those that the programs write."""
    ours = {path.name for path in ROOT.iterdir()} - {".local"}
    for name in FILE.findall(read_code(document)):
        if name.split("/")[0] in ours:
            assert (ROOT / name).exists(), name


@documents
def test_verbs_that_are_named_exist(document: Path) -> None:
    """`make …` names a target that `make help` shows."""
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)", read_code(document))) <= targets


def find_commands(code: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command `python -m program word…` of this project: the program and the words after it."""
    for line in code.splitlines():
        for program, rest in re.findall(r"python -m (\w+)((?: [^\s`|#;)]+)*)", line):
            if program in PROGRAMS:
                yield program, rest.split()


@documents
def test_commands_that_are_named_exist(document: Path) -> None:
    """`python -m …` names a subcommand and options that exist."""
    for program, words in find_commands(read_code(document)):
        command = PROGRAMS[program]
        while isinstance(command, click.Group) and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
            found = command.commands.get(words.pop(0))
            assert found is not None, (program, words)
            command = found
        options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        if not command.context_settings.get("ignore_unknown_options"):
            assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, (program, words)


def is_known(variable: str) -> bool:
    """Say whether anything in the project, or the Kafka client, knows a name."""
    if any(variable.lower() in settings.model_fields for settings in SETTINGS):
        return True
    if variable.startswith("KAFKA_"):
        name = variable.removeprefix("KAFKA_").lower().replace("_", ".")
        try:
            AdminClient({name: "", "log_level": 0})
        except KafkaException as error:
            return "No such configuration property" not in str(error)
        return True
    return re.search(rf"\b{variable}\b", read_sources()) is not None


@documents
def test_variables_that_are_named_exist(document: Path) -> None:
    """A name in capitals is a setting, a property of the Kafka client, or in the code."""
    names = set(VARIABLE.findall(read_code(document)))
    assert [] == [name for name in sorted(names) if not is_known(name)]


def test_every_setting_is_explained() -> None:
    """`--help` shows a setting by its description, so each has one."""
    for settings in SETTINGS:
        silent = [name for name, field in settings.model_fields.items() if not field.description]
        assert [] == [name for name in silent if name != "kafka_properties"]


def test_the_answer_in_the_readme_is_one() -> None:
    """The record that it shows has the keys of a record, in a record's order."""
    shown = re.search(r"^ {4}(\{\"userId\".*?\})$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert list(json.loads(shown[1])) == ["userId", *PROFILE_COLUMNS.values(), *COUNT_KEYS]


def test_the_columns_in_the_readme_are_those_that_are_read() -> None:
    """The table of source topics names every column of `users` that the joiner reads."""
    assert f"`user_id, {', '.join(PROFILE_COLUMNS)}`" in (ROOT / "README.md").read_text()


def test_the_headers_in_the_readme_are_those_of_a_record() -> None:
    """Its table names what OpenAPI says a 200 carries, and scripts of other origins may read each of them."""
    table = (ROOT / "README.md").read_text().partition("| header | meaning |")[2].partition("\n\n")[0]
    shown = {name.partition(":")[0] for name in re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)}
    described = build_document()["paths"]["/users/{userId}"]["get"]["responses"]["200"]["headers"]
    assert set(described) - {"Cache-Control"} == shown
    assert {name.lower() for name in shown} <= set(EXPOSED_HEADERS)


def test_the_reasons_of_dead_letters_are_explained() -> None:
    """The table in the operations guide has every reason that the code gives, and no other."""
    table = (
        (ROOT / "docs" / "operations.md").read_text().partition("| reason | what was found |")[2].partition("\n\n")[0]
    )
    given = {name.removeprefix("reason ") for name in collect()["dead letters"] if name.startswith("reason ")}
    assert given == set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE))


def test_figures_in_the_readme_are_measured_ones() -> None:
    """Each figure on its first screen is in docs/performance.md, next to the command that measured it."""
    readme, page = ((ROOT / name).read_text() for name in ("README.md", "docs/performance.md"))
    claims = readme.partition("## What it promises")[2].partition("\nDo not use it")[0]
    said = set(FIGURE.findall(claims))
    assert said
    assert set() == said - set(FIGURE.findall(page))


@pytest.mark.parametrize("heading", ["Capture the tables", "Serve the view"])
def test_ways_are_compared_by_measured_figures(heading: str) -> None:
    """Each figure of the column `measured here` is in docs/performance.md, next to the command that measured it."""
    page = set(FIGURE.findall((ROOT / "docs/performance.md").read_text()))
    for way, _, _, measured, *_ in read_table(heading, "choosing.md"):
        said = set(FIGURE.findall(measured))
        assert said, way
        assert set() == said - page, way


def test_the_layout_shows_what_each_folder_promises() -> None:
    """Its first table is the promises that tests/unit/test_imports.py checks."""
    shown = {
        folder.strip("`/"): tuple(
            {name.strip("`/") for name in re.findall(r"`[^`]+`", cell)} for cell in (ours, others)
        )
        for folder, _, ours, others in read_table("Folders")
    }
    promised = {
        folder: (set(promise.knows.split()), set(promise.libraries.split())) for folder, promise in PROMISES.items()
    }
    assert promised == shown


def find_functions(source: str) -> set[str]:
    """Return the names of a module's functions, and of its classes' methods with the class before a dot."""
    body = ast.parse(source).body
    classes = [(f"{statement.name}.", statement.body) for statement in body if isinstance(statement, ast.ClassDef)]
    return {
        prefix + statement.name
        for prefix, statements in [("", body), *classes]
        for statement in statements
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("tier", ["joiner", "reader"])
def test_functions_on_a_records_path_exist(tier: str) -> None:
    """That a record enters them in this order is what tests/broker/test_record_path.py follows."""
    for module, function in read_documented_path(tier):
        assert function in find_functions((ROOT / module).read_text()), (module, function)


def test_objects_of_two_threads_exist() -> None:
    """The table of what two threads share names classes where they are."""
    for first, *_ in read_table("What two threads share"):
        found = re.fullmatch(r"`(\w+)` in `([\w/]+\.py)`", first)
        assert found is not None, first
        assert re.search(rf"^class {found[1]}\b", (ROOT / found[2]).read_text(), re.MULTILINE), first


def test_the_glossary_is_short() -> None:
    """A newcomer learns fifteen terms at most, each with one meaning."""
    terms = [term for term, _ in read_table("Glossary")]
    assert len(set(terms)) == len(terms) <= 15


@pytest.mark.parametrize(
    ("file", "constant", "said"),
    [
        ("joiner/core/commit_policy.py", "BATCH", "taken from the consumer by up to {:,}"),
        ("joiner/core/commit_policy.py", "CHECKPOINT_ROWS", "where {:,} rows and users are held"),
        ("joiner/background/maintenance.py", "MAX_INTERVAL_SECONDS", "is deleted every {:g} s"),
        ("joiner/core/commit_policy.py", "SLOW_COMMIT_SECONDS", "took longer than {:g} s"),
        ("reader/replication/replicator.py", "PATIENCE_SECONDS", "cannot reach Kafka within {:g} s of starting"),
        ("shared/records.py", "MAX_ID_BYTES", "longer than {} bytes"),
    ],
)
def test_numbers_in_the_design_are_those_of_the_code(file: str, constant: str, said: str) -> None:
    """Such a number changes in the code and in the document together."""
    found = re.search(rf"^{constant} = ([\d_.]+)$", (ROOT / file).read_text(), re.MULTILINE)
    assert found is not None
    value = float(found[1]) if "." in found[1] else int(found[1])
    assert said.format(value) in " ".join((ROOT / "docs/design.md").read_text().split())


def test_checkpoints_last_as_long_as_the_design_says() -> None:
    """The two intervals that it names are the settings' defaults."""
    fields = JoinerSettings.model_fields
    shortest = fields["joiner_commit_interval_seconds"].default
    longest = fields["joiner_commit_interval_max_seconds"].default
    text = " ".join((ROOT / "docs/design.md").read_text().split())
    assert f"lasts {shortest:g} s while the joiner is caught up (`JOINER_COMMIT_INTERVAL_SECONDS`)" in text
    assert f"{longest:g} s while it is behind (`JOINER_COMMIT_INTERVAL_MAX_SECONDS`)" in text
