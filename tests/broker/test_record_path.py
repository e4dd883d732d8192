"""The path of a record that the documents show is the one that a record takes through the running programs."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.support.joiners import Joiners
from tests.support.programs import ROOT
from tests.support.readers import Reader
from tests.support.record_path import Step, read_path
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

LAYOUT, CONTRIBUTING = ROOT / "docs" / "layout.md", ROOT / "CONTRIBUTING.md"
MODULE = re.compile(r"`((?:joiner|reader|shared)/[\w/]+\.py)`")

MARK = "path-of-a-record"
"""Part of the ids of the user and of the row, hence of every key, value and request that concern them."""


def section(document: Path, heading: str) -> str:
    """Return the text under a heading, up to the next one."""
    parts = re.split(r"^#+ (.*)$", document.read_text(), flags=re.MULTILINE)
    return parts[parts.index(heading) + 1]


def documented(tier: str) -> list[Step]:
    """Return the steps that the layout shows for a tier: numbered items, a module each, with calls in its functions."""
    steps = []
    for item in re.split(r"^\d+\. ", section(LAYOUT, f"A record's path through the {tier}"), flags=re.MULTILINE)[1:]:
        module = MODULE.match(item)
        assert module is not None, item
        functions = re.findall(r"`([\w.]+)\(\)`", item)
        assert functions, item
        steps += [Step(module[1], function) for function in functions]
    return steps


def modules(steps: Iterable[Step]) -> list[str]:
    """Return the modules in the order of their first steps."""
    return list(dict.fromkeys(module for module, _ in steps))


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    """Give the files that the recorders write, which do not exist yet: tier -> file."""
    return {tier: tmp_path / f"{tier}.path" for tier in ("joiner", "reader")}


@pytest.fixture
def service(joiners: Joiners, tmp_path: Path, paths: dict[str, Path]) -> Iterator[tuple[Topics, Reader]]:
    """Give the topics of a joiner, and a reader; both are ready, and recorders watch them."""
    topics = joiners.topics
    topics.create_sources()
    recorder = "tests.support.record_path"
    joiners.add().under(recorder, str(paths["joiner"]), MARK).start_and_wait()
    with Reader(topics.settings(), tmp_path / "reader").under(recorder, str(paths["reader"]), MARK) as reader:
        reader.wait_until_ready()
        yield topics, reader


def test_a_record_takes_the_documented_path(service: tuple[Topics, Reader], paths: dict[str, Path]) -> None:
    """A row of `tweets` enters the modules that docs/layout.md and CONTRIBUTING.md list, in their order.

    What counts as entering is the rule of tests.support.record_path: the record is in a function's hands.
    Modules are compared completely, in the order in which the record first enters each. Of their functions the document
    names the main ones: each of them was entered, and in the document's order.
    """
    topics, reader = service

    def await_applied(records: int) -> None:
        topics.flush()
        wait_for(lambda: reader.metric("reader_applied_records_total") == records, 30, f"record {records}")

    # 1. The user exists; nothing of that is recorded.
    topics.put("users", user_id=MARK, username="alice")
    await_applied(1)

    # 2. A row that raises one of the user's counts goes all the way to a response.
    for file in paths.values():
        file.touch()
    topics.put("tweets", tweet_id=f"{MARK}-tweet", user_id=MARK)
    await_applied(2)
    assert reader.get(f"/users/{MARK}").json()["tweetCount"] == 1

    # 3. What it entered is what the documents say.
    entered = {tier: read_path(file) for tier, file in paths.items()}
    for tier, steps in entered.items():
        said = documented(tier)
        assert modules(said) == modules(steps)
        assert said == [step for step in steps if step in said]
    listed = MODULE.findall(section(CONTRIBUTING, "Follow one record"))
    assert listed == [*modules(entered["joiner"]), *modules(entered["reader"])]
