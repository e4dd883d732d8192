"""Properties of the joiner's Kafka clients."""

import pytest
from confluent_kafka import Consumer

from joiner.kafka import config
from joiner.settings import JoinerSettings
from shared.errors import SettingError
from shared.kafka import REFUSED
from shared.settings import read_settings
from shared.topics import PARTITIONER


@pytest.mark.parametrize(
    ("name", "value"),
    [("session.timeout.ms", "45000"), ("fetch.wait.max.ms", "500"), ("message.max.bytes", "8000000")],
)
def test_properties_of_the_environment_reach_the_consumer(name: str, value: str) -> None:
    """A property that is set is never silently replaced."""
    settings = read_settings(JoinerSettings)
    assert value != config.consumer_config(settings, {})[name]
    assert value == config.consumer_config(settings, {name: value})[name]


@pytest.mark.parametrize(("name", "value"), [("linger.ms", "50"), ("compression.type", "zstd")])
def test_properties_of_the_environment_reach_the_producer(name: str, value: str) -> None:
    """As for the consumer."""
    settings = read_settings(JoinerSettings)
    assert value != config.producer_config(settings, {})[name]
    assert value == config.producer_config(settings, {name: value})[name]


def test_properties_that_exactness_needs_cannot_be_set() -> None:
    """The environment's properties come last, so these must never be among them."""
    settings = read_settings(JoinerSettings)
    ours = {
        "isolation.level": "read_committed",
        "group.instance.id": settings.transactional_id,
        "transactional.id": settings.transactional_id,
        "enable.idempotence": True,
        "partitioner": PARTITIONER,
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
    }
    assert ours.items() <= {**config.consumer_config(settings, {}), **config.producer_config(settings, {})}.items()
    assert ours.keys() <= REFUSED


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("KAFKA_DELIVERY_TIMEOUT_MS", "120000", "(the service sets transaction.timeout.ms=6000)"),
        ("KAFKA_MESSAGE_TIMEOUT_MS", "120000", "(the service sets transaction.timeout.ms=6000)"),
        ("KAFKA_SOCKET_TIMEOUT_MS", "60000", "(the service sets transaction.timeout.ms=6000)"),
        ("KAFKA_QUEUING_STRATEGY", "lifo", "(the service sets enable.idempotence=True)"),
        ("KAFKA_SESSION_TIMEOUT_MS", "700000", "`max.poll.interval.ms`"),
        ("KAFKA_FETCH_MAX_BYTES", "1000", "(the service sets message.max.bytes="),
        ("KAFKA_MAX_POLL_INTERVAL_MS", "59999", "at least 60000 (it is '59999')"),
    ],
)
def test_values_that_do_not_go_together_are_refused_at_the_start(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one message that names the variable, and no other one, before anything is connected to."""
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("KAFKA_CLIENT_ID", "me")
    with pytest.raises(SettingError) as refused:
        config.load_properties(read_settings(JoinerSettings))
    assert str(refused.value).startswith(f"{variable}: ")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KAFKA_MESSAGE_MAX_BYTES", "80000000"),
        ("KAFKA_SESSION_TIMEOUT_MS", "45000"),
        ("KAFKA_SOCKET_TIMEOUT_MS", "5000"),
    ],
)
def test_values_that_go_together_reach_the_clients(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They win over the service's own defaults."""
    monkeypatch.setenv(variable, value)
    assert [value] == [*config.load_properties(read_settings(JoinerSettings)).values()]


def test_the_engine_is_given_the_poll_interval_as_a_number() -> None:
    """It reckons with it; the client library takes either."""
    configuration = config.consumer_config(read_settings(JoinerSettings), {"max.poll.interval.ms": "600000"})
    assert 600_000 == configuration["max.poll.interval.ms"]
    Consumer({**configuration, "group.id": "nobody"}).close()


def test_a_reset_waits_for_the_sessions_that_the_settings_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed joiner is a member for as long as its session lasts."""
    assert 10.0 == config.membership_seconds(read_settings(JoinerSettings))
    monkeypatch.setenv("KAFKA_SESSION_TIMEOUT_MS", "45000")
    assert 49.0 == config.membership_seconds(read_settings(JoinerSettings))
