"""The topics that rows go to: created compacted, checked, and read for the keys that they hold."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from joiner.kafka.scan import scan
from poller.settings import PollerSettings
from shared.errors import TopicError
from shared.topics import CREATION_CONFIG, SOURCE_MESSAGE_BYTES, heartbeats_spec

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 30.0

WRITER = "poller"
"""Header of each record: which state directory it was written from."""

_SIZE = {"max.message.bytes": str(SOURCE_MESSAGE_BYTES)}

UNKNOWN_PROPERTY = ("INVALID_CONFIG", "POLICY_VIOLATION")
"""What brokers before 3.6 and some hosted ones say to properties that they do not know."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is: another one of the same name has another id."""

    name: str
    id: str
    partitions: int


@dataclass(frozen=True, slots=True)
class Key:
    """What one record of a topic says.

    Args:
        key: of a row.
        is_there: whether it says that the row is there.
        is_own: whether this state directory's poller wrote it.
        place: topic and partition.
        following: the next offset.
    """

    key: bytes
    is_there: bool
    is_own: bool
    place: tuple[str, int]
    following: int


def prepare_topics(admin: AdminClient, settings: PollerSettings) -> list[Topic]:
    """Create the topics that are missing, and return those that rows go to.

    Args:
        admin: a client of the cluster.
        settings: what they are called.

    Raises:
        TopicError: one cannot be created, or does not keep the newest record of each key.
        KafkaException: Kafka does not answer.
    """
    existing = admin.list_topics(timeout=REQUEST_SECONDS).topics
    wanted = {name: {"cleanup.policy": "compact", **_SIZE} for name in settings.sources}
    partitions = dict.fromkeys(wanted, settings.poller_partitions)
    if settings.heartbeats_topic is not None:
        spec = heartbeats_spec(settings.heartbeats_topic)
        wanted[spec.name], partitions[spec.name] = spec.config, spec.partitions
    replicas = settings.topic_replication_factor or -1
    for config in (CREATION_CONFIG, {}):
        new = [
            NewTopic(name, partitions[name], replicas, config={**config, **own})
            for name, own in wanted.items()
            if name not in existing
        ]
        refused = [name for name, error in _create(admin, new) if error in UNKNOWN_PROPERTY]
        if not refused:
            break
        wanted = {name: wanted[name] for name in refused}
    sources = list(settings.sources)
    _check_policies(admin, sources)
    described = admin.describe_topics(TopicCollection(sources), request_timeout=REQUEST_SECONDS)
    found = {name: future.result() for name, future in described.items()}
    return [Topic(name, str(found[name].topic_id), len(found[name].partitions)) for name in sources]


def _create(admin: AdminClient, topics: Sequence[NewTopic]) -> Iterator[tuple[str, str]]:
    """Create topics; yield those that a broker refuses with the name of its error.

    Raises:
        TopicError: a broker refuses one for another reason than a property.
    """
    for name, created in (admin.create_topics(list(topics)) if topics else {}).items():
        try:
            created.result()
        except KafkaException as error:
            reason = error.args[0]
            if reason.name() in UNKNOWN_PROPERTY:
                yield name, reason.name()
            elif reason.name() != "TOPIC_ALREADY_EXISTS":
                raise TopicError(f"cannot create the topic {name}: {reason.str()}", "create it, compacted") from error
        else:
            logger.info("created the topic %s", name)


def _check_policies(admin: AdminClient, topics: Sequence[str]) -> None:
    """Check that topics keep the newest record of each key.

    Raises:
        TopicError: one does not.
    """
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
    for resource, future in admin.describe_configs(resources, request_timeout=REQUEST_SECONDS).items():
        policy = future.result()["cleanup.policy"].value
        if policy != "compact":
            raise TopicError(
                f"the topic {resource.name} has cleanup.policy={policy}, so rows that nothing changes are lost in time",
                "set cleanup.policy=compact",
            )


def read_keys(client: Mapping[str, str], topic: Topic, start: Mapping[int, int], writer: str) -> Iterator[Key]:
    """Yield what a topic's records say, from given offsets to the ends.

    Args:
        client: where Kafka is and how to reach it, as librdkafka's properties.
        topic: which.
        start: partition -> the first offset to read; the others from the beginning.
        writer: this state directory's id.
    """
    for message in scan(client, topic.name, range(topic.partitions), start):
        key, offset, partition = message.key(), message.offset(), message.partition()
        if key is None or offset is None or partition is None:
            continue
        is_own = dict(message.headers() or []).get(WRITER) == writer.encode()
        place = (topic.name, partition)
        yield Key(key, message.value() is not None, is_own, place, offset + 1)
