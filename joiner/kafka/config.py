"""Configurations of the joiner's Kafka clients, and the reason for each property.

Properties from the environment are tried on the clients that the join will create, before anything else is done. None
of those clients connects.
"""

import logging
from collections.abc import Mapping
from functools import partial

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from joiner.settings import JoinerSettings
from shared.errors import SettingError
from shared.kafka import build_config, check_credentials, filter_known_properties, variable_name
from shared.topics import MAX_MESSAGE_BYTES, PARTITIONER

logger = logging.getLogger(__name__)

SESSION_MS = 6_000
"""The lowest that brokers accept by default: how soon the group notices a killed joiner that is not started again."""

SESSION_MARGIN_SECONDS = 4.0
"""How long after the end of a session a broker may still list its member."""

MIN_POLL_INTERVAL_MS = 60_000
"""The engine waits for Kafka for a share of max.poll.interval.ms; with a shorter one, slow commits would fail."""

REQUEST_SECONDS = 30.0
"""How long Kafka may take to answer a request that a start or a command needs: electing leaders takes seconds."""

SHORT_REQUEST_SECONDS = 10.0
"""The same for requests about topics, which need no coordinator, and for requests that are repeated anyway."""

TRANSACTION_MS = 6_000
"""How long an open transaction of a killed joiner delays the joiner that takes over its partitions. A transaction
begins with the first record that a closing checkpoint writes, so it covers one commit and not the time between two."""


def load_properties(settings: JoinerSettings) -> dict[str, str]:
    """Return the client properties that the environment sets, once each is checked and Kafka accepts the credentials.

    Args:
        settings: the joiner's.

    Raises:
        SettingError: a property's value is refused, or conflicts with the others; names the variables.
        KafkaError: Kafka refuses the credentials.
    """
    taken = filter_known_properties(settings.kafka_properties, AdminClient)
    for name, least in (("max.poll.interval.ms", MIN_POLL_INTERVAL_MS), ("session.timeout.ms", 1)):
        _refuse_below(name, taken.get(name), least)
    filter_known_properties(taken, Consumer, partial(_group_config, settings))
    filter_known_properties(taken, Producer, partial(producer_config, settings))
    return check_credentials(settings.kafka_bootstrap_servers, taken, AdminClient)


def _refuse_below(name: str, value: str | None, least: int) -> None:
    if value is not None and not (value.isdecimal() and int(value) >= least):
        variable = variable_name(name)
        raise SettingError(
            f"{variable}: must be a whole number of at least {least} (it is {value!r})",
            hint=f"correct it, or unset {variable}",
        )


def _group_config(settings: JoinerSettings, properties: Mapping[str, str]) -> dict[str, object]:
    """Return the consumer's configuration together with what the engine adds to it."""
    added = {
        "group.id": settings.joiner_group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "partition.assignment.strategy": "range",
    }
    return {**consumer_config(settings, properties), **added}


def session_seconds(settings: JoinerSettings) -> float:
    """Return how long a joiner may be silent before others get its partitions."""
    return int(settings.kafka_properties.get("session.timeout.ms", SESSION_MS)) / 1000


def membership_seconds(settings: JoinerSettings) -> float:
    """Return after how long a joiner that was killed is no longer a member of its group."""
    return session_seconds(settings) + SESSION_MARGIN_SECONDS


def client_config(settings: JoinerSettings, properties: Mapping[str, str]) -> dict[str, str]:
    """Return what every client needs: Kafka's addresses, and what the environment sets."""
    return {"bootstrap.servers": settings.kafka_bootstrap_servers, **properties}


def consumer_config(settings: JoinerSettings, properties: Mapping[str, str]) -> dict[str, object]:
    """Return the configuration of the consumer that the join reads with."""
    # The engine calculates with this one, so it must be a number.
    numbers = {name: int(value) for name, value in properties.items() if name == "max.poll.interval.ms"}
    own = {
        "isolation.level": "read_committed",
        # Static membership: a joiner that is started again within its session takes its partitions back at once.
        "group.instance.id": settings.transactional_id,
        # Reports the end of a partition: it lies behind the markers of transactions, which no record shows.
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
    }
    preferred = {
        "session.timeout.ms": SESSION_MS,
        # The other joiners learn of a rebalance with their next one.
        "heartbeat.interval.ms": 500,
        "topic.metadata.refresh.interval.ms": 30_000,
        "max.partition.fetch.bytes": MAX_MESSAGE_BYTES,
        "fetch.wait.max.ms": 20,
        # What is fetched ahead, for all partitions together: memory stays bounded however long the backlog. A response
        # is compressed, so it becomes several times as large here. A queue that was full is filled again soon, not
        # after a second in which the loop may have emptied it.
        "fetch.max.bytes": int(properties.get("message.max.bytes", MAX_MESSAGE_BYTES)),
        "fetch.queue.backoff.ms": 20,
        "queued.max.messages.kbytes": 12 * 1024,
    }
    return {**build_config(properties, preferred, own), **numbers}


def query_config(settings: JoinerSettings, properties: Mapping[str, str]) -> dict[str, object]:
    """Return the configuration of a consumer that never joins the group, and sees offsets up to the high watermark."""
    own = {"group.id": settings.joiner_group, "isolation.level": "read_uncommitted", "enable.auto.commit": False}
    return build_config(client_config(settings, properties), {}, own)


def producer_config(settings: JoinerSettings, properties: Mapping[str, str]) -> dict[str, object]:
    """Return the configuration of the transactional producer."""
    own = {
        "enable.idempotence": True,
        "partitioner": PARTITIONER,
        "transactional.id": settings.transactional_id,
        "transaction.timeout.ms": TRANSACTION_MS,
    }
    preferred = {"compression.type": "lz4", "linger.ms": 5, "queue.buffering.max.messages": 500_000}
    # What joiner.core.epochs rests on, whatever the environment says: a connection that closes is reported, and what
    # was lost with it is sent again after no less than RESEND_SECONDS.
    watched = {"log.connection.close": True, "retry.backoff.ms": 100}
    return {**build_config(properties, preferred, own), **watched}


def abort_open_transaction(settings: JoinerSettings, properties: Mapping[str, str]) -> None:
    """Abort the transaction that a killed process with this joiner's id may have left open.

    Raises:
        KafkaException: Kafka does not answer, or refuses.
    """
    config = {**client_config(settings, properties), **producer_config(settings, properties)}
    Producer(config, logger=logger).init_transactions(REQUEST_SECONDS)
