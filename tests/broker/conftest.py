"""One real Kafka for all tests of this folder."""

import os
from collections.abc import Iterator

import pytest

from stack.kafka import Kafka


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a Kafka: a new one on a free port, or the one that TEST_KAFKA names."""
    given = os.environ.get("TEST_KAFKA")
    if given:
        yield given
        return
    with Kafka(tmp_path_factory.mktemp("kafka")) as started:
        yield started.bootstrap_servers
