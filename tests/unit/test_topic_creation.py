"""How the joiner creates its topics on brokers that know less, or hide something."""

from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import NewTopic

from joiner.kafka.topics import prepare_ledger
from joiner.settings import JoinerSettings
from shared.errors import TopicError
from shared.settings import read_settings
from shared.topics import CREATION_CONFIG

LEDGER = "user-info-joiner-ledger"


class Cluster:
    """A fake of confluent_kafka's admin client.

    Args:
        refuse: configuration of a topic -> the code of the error that creating it gives, or None.
        error: what metadata say of the topic.
    """

    def __init__(self, refuse: Callable[[dict[str, str]], int | None], error: KafkaError | None = None) -> None:
        self._refuse = refuse
        self._error = error
        self.created: list[dict[str, str]] = []

    def create_topics(self, wanted: list[NewTopic], request_timeout: float) -> dict[str, Future[None]]:  # noqa: ARG002
        """Answer at once."""
        answers = {}
        for topic in wanted:
            answer = answers[topic.topic] = Future[None]()
            code = self._refuse(topic.config)
            if code is None:
                self.created.append(topic.config)
                answer.set_result(None)
            else:
                answer.set_exception(KafkaException(KafkaError(code, "why")))
        return answers

    def list_topics(self, topic: str | None = None, timeout: float = 0) -> SimpleNamespace:  # noqa: ARG002
        """Return the ledger where it was created, or was asked for by its name."""
        known = SimpleNamespace(error=self._error, partitions={0: SimpleNamespace(leader=1)})
        return SimpleNamespace(topics={LEDGER: known} if self.created or topic else {})


def prepare(cluster: Any) -> None:  # noqa: ANN401 - a fake
    """Create the ledger, the one topic that is created by itself."""
    prepare_ledger(cluster, read_settings(JoinerSettings))


def test_a_topic_is_created_with_all_that_a_default_might_refuse() -> None:
    """Times, size and policy are explicit."""
    cluster = Cluster(lambda _: None)
    prepare(cluster)
    assert [{**CREATION_CONFIG, "cleanup.policy": "compact", "segment.ms": "3600000"}] == cluster.created


@pytest.mark.parametrize("code", [KafkaError.INVALID_CONFIG, KafkaError.POLICY_VIOLATION])
def test_a_broker_that_knows_no_bounds_of_time_gets_a_topic_without(code: int) -> None:
    """What the topic needs besides is kept."""
    cluster = Cluster(lambda config: code if "message.timestamp.before.max.ms" in config else None)
    prepare(cluster)
    assert [{"cleanup.policy": "compact", "segment.ms": "3600000"}] == cluster.created


@pytest.mark.parametrize("code", [KafkaError.POLICY_VIOLATION, KafkaError.INVALID_REPLICATION_FACTOR])
def test_a_topic_that_cannot_be_created_is_named(code: int) -> None:
    """With the setting that may be wrong."""
    with pytest.raises(TopicError, match=f"^cannot create the topic {LEDGER}: why") as refused:
        prepare(Cluster(lambda _: code))
    assert "TOPIC_REPLICATION_FACTOR" in refused.value.hint


def test_a_topic_that_exists_but_may_not_be_seen_is_named() -> None:
    """Kafka leaves it out of the list, and says that it exists once it is to be created."""
    hidden = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "no right")
    with pytest.raises(TopicError, match=f"^the joiner's user may not see the topic {LEDGER}, which exists"):
        prepare(Cluster(lambda _: KafkaError.TOPIC_ALREADY_EXISTS, hidden))
