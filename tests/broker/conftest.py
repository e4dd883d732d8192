"""One real Kafka for all tests of this folder, and joiners on it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.servers.kafka import Kafka
from tests.support.joiners import Joiners
from tests.support.topics import Topics


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
    """Give joiners on topics of this test's own; whatever still runs at its end is killed."""
    made = Joiners(Topics(kafka), tmp_path)
    yield made
    made.kill()
