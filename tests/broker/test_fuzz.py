"""A few seconds of what strangers send: nothing that a real reader says to them is not as it should be."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.fuzz import openapi, sockets
from shared.records import COUNT_KEYS, PROFILE_COLUMNS
from shared.shape import BUILT_IN_SHAPE, SHAPE_KEY
from tests.support.readers import Reader
from tests.support.topics import Topics

pytestmark = pytest.mark.broker

SEED = 1


@pytest.fixture
def port(kafka: str, tmp_path: Path) -> Iterator[int]:
    """Give the port of a reader that is ready and holds a few users; it lives and has logged no failure afterwards."""
    topics = Topics(kafka)
    topics.create("user-info", partitions=3)
    for user in ("0", "1", "alice", "zoë", "a/b"):
        record = {"userId": user, **dict.fromkeys(PROFILE_COLUMNS.values()), **dict.fromkeys(COUNT_KEYS, 1)}
        topics.send("user-info", user.encode(), json.dumps(record).encode())
    for partition in range(3):
        topics.send("user-info", SHAPE_KEY, BUILT_IN_SHAPE.encode(), partition)
    topics.flush()
    with Reader(topics.settings(), tmp_path / "reader") as reader:
        reader.wait_until_ready()
        yield reader.port
        assert reader.running
        assert "Traceback" not in reader.log()
        assert 0 == reader.stop()


def test_responses_are_as_described(port: int, tmp_path: Path) -> None:
    """Schemathesis finds no status, header, type or document that /openapi.json does not describe."""
    assert "generated" in openapi.fuzz(port, tmp_path, SEED, examples=10)


def test_nearly_http_is_answered_in_http(port: int) -> None:
    """For any bytes on raw sockets each response is well-formed, none a failure, and a sound request gets its own."""
    tally = sockets.fuzz(port, SEED, 5.0, lambda: True)
    assert tally.connections > 0
    assert {200, 400, 404} <= set(tally.statuses)
