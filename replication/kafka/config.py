"""How the reader's Kafka clients are configured, and whether Kafka accepts that; checked once, at the start."""

from collections.abc import Mapping

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from shared import kafka
from shared.topics import MAX_MESSAGE_BYTES

PREFERRED: Mapping[str, object] = {
    "max.partition.fetch.bytes": MAX_MESSAGE_BYTES,
    "fetch.wait.max.ms": 20,
    "queued.max.messages.kbytes": 32 * 1024,
}
OWN: Mapping[str, object] = {
    # librdkafka requires the name of a group; nothing is ever stored under it.
    "group.id": "user-info-reader",
    "enable.auto.commit": False,
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "allow.auto.create.topics": False,
}


def build_consumer_config(properties: Mapping[str, str]) -> dict[str, object]:
    """Return the consumer's configuration without Kafka's address; the environment overrides what is preferred."""
    return kafka.build_config(properties, PREFERRED, OWN)


def build_admin_config(properties: Mapping[str, str]) -> dict[str, object]:
    """Return the admin client's configuration without Kafka's address."""
    return kafka.build_config(properties, {}, {})


def validate_properties(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the properties from the environment that the reader's clients know.

    Raises:
        SettingError: the client refuses a value, or a combination of values; names the variable.
    """
    return kafka.filter_known_properties(properties, Consumer, build_consumer_config)


def check_credentials(servers: str, properties: Mapping[str, str]) -> None:
    """Check once that Kafka accepts the configured credentials; a Kafka that does not answer passes.

    Raises:
        KafkaError: Kafka refuses the credentials, or its certificate is not trusted; names the variables to check.
    """
    kafka.check_credentials(servers, properties, AdminClient)
