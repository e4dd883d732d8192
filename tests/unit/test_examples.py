"""The stack's examples: what belongs together agrees, and the built-in tables are one of them."""

import re
from pathlib import Path

import pytest

from shared.errors import UserInformationError
from shared.settings import read_settings
from stack.examples import EXAMPLES, OWN, find_example
from stack.ops import read_connector
from stack.settings import StackSettings

FOLDERS = sorted(file.parent for file in EXAMPLES.glob("*/view.toml"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_tables_topics_and_view_agree(folder: Path) -> None:
    """Each table of the view is created, published and captured, next to the heartbeats."""
    example = find_example(folder.name)
    schema = example.schema.read_text()
    tables = [source.table for source in example.view.sources]
    (published,) = re.findall(r"SET TABLE ([a-z_, ]+);", schema)
    assert {*tables, "heartbeats"} == set(published.split(", ")) == set(example.topics)
    assert set(example.topics) == set(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", schema))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_connector_differs_only_in_what_it_reads_and_how_it_writes_decimals(folder: Path) -> None:
    """Everything else is what deployments and tests have."""
    own, other = read_connector(), read_connector(find_example(folder.name).connector)
    assert {"table.include.list", "decimal.handling.mode"} == {
        name for name in own.keys() | other.keys() if own.get(name) != other.get(name)
    }
    assert "string" == other["decimal.handling.mode"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_load_is_read_whole(folder: Path) -> None:
    """Its shares add up to a hundred, each statement is one, and there is one for people to try."""
    example = find_example(folder.name)
    assert 100 == sum(share for share, _ in example.changes.values())
    assert len(example.changes) == (example.folder or EXAMPLES).joinpath("load.sql").read_text().count(";\n")
    assert example.first_change.startswith("INSERT INTO ")


def test_without_an_example_the_tables_are_our_own() -> None:
    """The tiers then get no further settings."""
    assert OWN == find_example(None)
    assert ({}, "users") == (OWN.settings, OWN.resource)


def test_an_example_that_is_not_there_is_refused_with_those_that_are() -> None:
    """By the variable."""
    with pytest.raises(UserInformationError) as refused:
        find_example("shp")
    assert "STACK_EXAMPLE=shp: there is no such example" == refused.value.what
    assert "shop" in refused.value.hint


def test_an_examples_data_is_apart_unless_a_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tables and topics are others."""
    monkeypatch.delenv("STACK_DIR", raising=False)
    monkeypatch.setenv("STACK_EXAMPLE", "shop")
    assert ".local/shop" == str(read_settings(StackSettings).stack_dir)
    monkeypatch.setenv("STACK_DIR", "/srv/data")
    assert "/srv/data" == str(read_settings(StackSettings).stack_dir)


@pytest.mark.parametrize(("example", "folder"), [(None, ".local/avro"), ("shop", ".local/shop/avro")])
def test_the_data_of_another_format_is_apart(monkeypatch: pytest.MonkeyPatch, example: str | None, folder: str) -> None:
    """Keys in Avro are other keys, which the joiner would refuse in topics that hold JSON's."""
    monkeypatch.delenv("STACK_DIR", raising=False)
    monkeypatch.setenv("STACK_FORMAT", "avro")
    monkeypatch.setenv("STACK_EXAMPLE", example or "")
    assert folder == str(read_settings(StackSettings).stack_dir)
