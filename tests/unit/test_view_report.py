"""`python -m joiner view` and docs/view.md, which shows what it prints."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from joiner.cli import main
from joiner.core.users import UserState, encode_state
from joiner.core.view_report import check_columns, describe_view
from shared.view.file import parse_view
from shared.view.model import BUILT_IN
from tests.support.programs import ROOT

DOCUMENT = (ROOT / "docs" / "view.md").read_text()


def read_block(name: str) -> str:
    """Return a block of the document, which a comment names."""
    found = re.search(rf"<!-- {name} -->\n```\w*\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found is not None
    return found[1]


LINES = parse_view("""
[record]
of = "users"
id = "id"
as = "id"
[counts]
lines = { of = "lines", by = "user_id" }
[tables]
lines = { key = ["order_id", "line"] }
""")


@pytest.fixture
def shop(tmp_path: Path) -> dict[str, str]:
    """Return the environment that names the document's example."""
    file = tmp_path / "view.toml"
    file.write_text(read_block("example"))
    return {"USER_INFO_VIEW": str(file)}


def run_view(*options: str, **environment: str) -> str:
    """Run the command in this process, and return what it prints."""
    ended = CliRunner(env=environment).invoke(main, ["view", *options], catch_exceptions=False)
    assert 0 == ended.exit_code, ended.output
    return ended.output


def test_the_built_in_view_is_the_file_that_the_document_shows() -> None:
    """Whoever wants one field more begins with it."""
    assert BUILT_IN == parse_view(read_block("built-in"))


def test_the_document_shows_what_the_command_says_of_its_example(shop: dict[str, str]) -> None:
    """Record, example, topics, columns, replica identities, size of the state."""
    assert read_block("description") == run_view(**shop)


def test_the_document_shows_the_sql_of_its_example(shop: dict[str, str]) -> None:
    """It is what the record means, so people must see it before they rely on it."""
    assert read_block("sql") == run_view("--sql", **shop)


def test_sql_and_check_exclude_each_other() -> None:
    """One prints, the other asks Kafka."""
    ended = CliRunner().invoke(main, ["view", "--sql", "--check"])
    assert 2 == ended.exit_code
    assert "--sql and --check exclude each other" in ended.output


def test_sqlite_has_its_own_dialect() -> None:
    """Its casts are not PostgreSQL's."""
    assert run_view("--sql", "--dialect", "sqlite").startswith('SELECT CAST(record."user_id" AS TEXT) AS "userId"\n')


def test_a_key_of_several_columns_is_shown_whole() -> None:
    """Each of them is marked, and the row's id, which holds their names, is longer."""
    lines = list(describe_view(LINES, {each.topic: each for each in LINES.sources}))
    assert "  lines  lines  order_id*, line*, user_id" in lines
    assert "  a row of lines  59 bytes" in lines


def test_a_records_state_is_as_large_as_the_command_says() -> None:
    """What it estimates is the length of what is stored."""
    stored = encode_state(UserState(("a text of 20 letters",) * 8, (3,) * 4, 10**12, 10**12))
    assert f"  a record          {len('1234567890') + len(stored)} bytes" in run_view().splitlines()


def test_a_column_is_looked_for_in_every_row() -> None:
    """One that some rows lack was added later, or is left out by some writer."""
    rows: list[dict[str, object]] = [{"id": 1, "name": None}, {"id": 2, "name": "b", "born": 0}]
    assert {"born": 1, "gone": 0} == check_columns(["id", "name", "born", "gone"], rows)
