"""The path of a record that the documents show is the one that a record takes through the running programs."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.support.joiners import Joiners
from tests.support.readers import Reader
from tests.support.record_path import Step, read_documented_modules, read_documented_path, read_path
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

MARK = "path-of-a-record"
"""Part of the ids of the user and of the row, hence of every key, value and request that concern them."""


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
    assert 1 == reader.get(f"/users/{MARK}").json()["tweetCount"]

    # 3. What it entered is what the documents say.
    entered = {tier: read_path(file) for tier, file in paths.items()}
    for tier, steps in entered.items():
        said = read_documented_path(tier)
        assert modules(said) == modules(steps)
        assert said == [step for step in steps if step in said]
    assert read_documented_modules() == [*modules(entered["joiner"]), *modules(entered["reader"])]
