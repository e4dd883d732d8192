"""One real Kafka for all tests of this folder, and joiners and readers on it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.servers.kafka import Kafka
from tests.support.joiners import Joiners
from tests.support.readers import Reader
from tests.support.topics import USER_INFO_PARTITIONS, Topics


@pytest.fixture(scope="package")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a Kafka: a new one on a free port, or the one that TEST_KAFKA names."""
    given = os.environ.get("TEST_KAFKA")
    if given:
        yield given
        return
    with Kafka(tmp_path_factory.mktemp("kafka")) as started:
        yield started.bootstrap_servers


@pytest.fixture
def joiners(kafka: str, tmp_path: Path) -> Iterator[Joiners]:
    """Give joiners on topics of this test's own; those that still run at its end are killed."""
    made = Joiners(Topics(kafka), tmp_path)
    yield made
    made.kill()


@pytest.fixture
def topics(kafka: str) -> Topics:
    """Give a user-info topic of this test's own."""
    made = Topics(kafka)
    made.create("user-info", partitions=USER_INFO_PARTITIONS)
    return made


@pytest.fixture
def readers(tmp_path: Path, topics: Topics) -> Iterator[list[Reader]]:
    """Give three readers, not started; those that still run at the end are killed."""
    made = [Reader(topics.settings(), tmp_path / f"reader-{number}") for number in range(3)]
    yield made
    for reader in made:
        reader.kill()


@pytest.fixture
def reader(readers: list[Reader]) -> Reader:
    """Give one reader, not started."""
    return readers[0]
