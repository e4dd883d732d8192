"""Properties of the joiner's Kafka clients."""

import pytest

from joiner import clients
from joiner.settings import JoinerSettings
from shared.kafka import REFUSED
from shared.settings import load
from shared.topics import PARTITIONER


@pytest.mark.parametrize(
    ("name", "value"),
    [("session.timeout.ms", "45000"), ("fetch.wait.max.ms", "500"), ("message.max.bytes", "8000000")],
)
def test_what_the_environment_sets_for_the_consumer_holds(name: str, value: str) -> None:
    """Nobody sets a property to see it silently replaced."""
    settings = load(JoinerSettings)
    assert clients.consumer(settings, {})[name] != value
    assert clients.consumer(settings, {name: value})[name] == value


@pytest.mark.parametrize(("name", "value"), [("linger.ms", "50"), ("compression.type", "zstd")])
def test_what_the_environment_sets_for_the_producer_holds(name: str, value: str) -> None:
    """As for the consumer."""
    settings = load(JoinerSettings)
    assert clients.producer(settings, {})[name] != value
    assert clients.producer(settings, {name: value})[name] == value


def test_what_exactness_rests_on_cannot_be_set() -> None:
    """The environment's properties come last, so these must never be among them."""
    settings = load(JoinerSettings)
    ours = {
        "isolation.level": "read_committed",
        "group.instance.id": settings.transactional_id,
        "transactional.id": settings.transactional_id,
        "enable.idempotence": True,
        "partitioner": PARTITIONER,
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
    }
    assert ours.items() <= {**clients.consumer(settings, {}), **clients.producer(settings, {})}.items()
    assert ours.keys() <= REFUSED
