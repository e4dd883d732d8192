"""Prepares the joiner's topics at start: waits for the sources, creates its own topics, checks what exactness needs.

Knows Kafka's admin interface and nothing of rows, states or Quix.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from joiner.kafka.config import SHORT_REQUEST_SECONDS
from joiner.settings import JoinerSettings
from shared.errors import Interrupted, KafkaError, TopicError
from shared.topic_rules import Role, Severity, check_policy
from shared.topics import (
    TopicSpec,
    changelog_spec,
    dead_letters_spec,
    heartbeats_spec,
    ledger_spec,
    user_info_changes_spec,
    user_info_spec,
)

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
REMIND_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PreparedTopics:
    """The topics that the joiner works with: all exist, and none of them loses data.

    Args:
        changes_partitions: how many partitions the internal topic has.
        changelogs: names of the stores' changelogs.
        ledger: name of the ledger topic.
        inputs: names of all topics that the joined state belongs to.
        forgets_ms: compacted topic -> how long it remembers deletions, its `delete.retention.ms`.
    """

    changes_partitions: int
    changelogs: Sequence[str]
    ledger: str
    inputs: Sequence[str]
    forgets_ms: Mapping[str, int]


def prepare_topics(
    admin: AdminClient, settings: JoinerSettings, waiting: Callable[[str], None], patience_seconds: float
) -> PreparedTopics:
    """Wait for the source topics, create the joiner's own topics where they are missing, and check all of them.

    Args:
        admin: a client of the cluster.
        settings: names and partition counts.
        waiting: called with what is missing, each time that it is logged.
        patience_seconds: how long to wait for Kafka and the source topics; may be infinite.

    Raises:
        KafkaError: no broker answers in that time, or it refuses.
        TopicError: a source is still missing then, or a topic's configuration would lose data; names the topic.
    """
    _await_sources(admin, settings, waiting, patience_seconds)
    own = (
        user_info_spec(settings.user_info_topic, settings.user_info_partitions),
        user_info_changes_spec(settings.user_info_changes_topic, settings.user_info_partitions),
        dead_letters_spec(settings.dead_letters_topic),
        ledger_spec(settings.ledger_topic),
        *(
            heartbeats_spec(topic)
            for topic in [settings.heartbeats_topic]
            if topic and settings.joiner_writes_heartbeats
        ),
    )
    existing = _count_partitions(admin)
    counts = {topic.name: topic.partitions for topic in own} | existing
    changelogs = _changelog_specs(settings, counts)
    wanted = (*own, *changelogs)
    _create_topics(admin, [topic for topic in wanted if topic.name not in existing], settings.topic_replication_factor)
    configs = describe_configs(admin, [*settings.sources, *(topic.name for topic in wanted)])
    _check_policies(configs, settings, [topic.name for topic in changelogs])
    inputs = [*settings.sources, *(topic.name for topic in changelogs)]
    return PreparedTopics(
        changes_partitions=counts[settings.user_info_changes_topic],
        changelogs=[topic.name for topic in changelogs],
        ledger=settings.ledger_topic,
        inputs=[*inputs, settings.user_info_changes_topic, settings.user_info_topic],
        forgets_ms={
            name: int(configs[name]["delete.retention.ms"])
            for name in inputs
            if "compact" in configs[name]["cleanup.policy"]
        },
    )


def prepare_ledger(admin: AdminClient, settings: JoinerSettings) -> None:
    """Create the ledger where it is missing."""
    if settings.ledger_topic not in _count_partitions(admin):
        _create_topics(admin, [ledger_spec(settings.ledger_topic)], settings.topic_replication_factor)


def _changelog_specs(settings: JoinerSettings, partitions: Mapping[str, int]) -> list[TopicSpec]:
    """Return the stores' changelogs. They are created here, all at once: Quix would take a second for each."""
    return [changelog_spec(changelog, partitions[topic]) for topic, changelog in settings.changelogs.items()]


def _await_sources(
    admin: AdminClient, settings: JoinerSettings, waiting: Callable[[str], None], patience: float
) -> None:
    deadline = time.monotonic() + patience
    remind_at = time.monotonic()
    while True:
        problem = _find_obstacle(admin, settings)
        if problem is None:
            return
        if time.monotonic() >= deadline:
            raise type(problem)(f"{problem.what}, after {patience:g} s (JOINER_WAIT_FOR_TOPICS_SECONDS)", problem.hint)
        if time.monotonic() >= remind_at:
            waiting(str(problem))
            left = f"; giving up in {deadline - time.monotonic():.0f} s" if math.isfinite(deadline) else ""
            logger.warning("waiting: %s%s", problem, left)
            remind_at = time.monotonic() + REMIND_SECONDS
        time.sleep(RETRY_SECONDS)


def _find_obstacle(admin: AdminClient, settings: JoinerSettings) -> KafkaError | TopicError | None:
    try:
        existing = _count_partitions(admin)
    except KafkaException as error:
        return KafkaError(
            f"no Kafka broker answers at {settings.kafka_bootstrap_servers} (KAFKA_BOOTSTRAP_SERVERS):"
            f" {error.args[0].str()}",
            hint="start Kafka, or correct the addresses",
        )
    missing = [topic for topic in settings.sources if topic not in existing]
    if not missing:
        return None
    variables = {topic: variable for variable, topic in settings.topic_names().items()}
    named = ", ".join(f"{topic} ({variables[topic]})" for topic in missing)
    return TopicError(
        f"the source topics {named} do not exist",
        hint="start the connector that creates them (the joiner never does), or correct the names",
    )


def _count_partitions(admin: AdminClient) -> dict[str, int]:
    topics = admin.list_topics(timeout=SHORT_REQUEST_SECONDS).topics
    return {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}


def _create_topics(admin: AdminClient, topics: list[TopicSpec], replicas: int | None) -> None:
    if not topics:
        return
    wanted = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=-1 if replicas is None else replicas,
            config=topic.config,
        )
        for topic in topics
    ]
    for name, created in admin.create_topics(wanted, request_timeout=SHORT_REQUEST_SECONDS).items():
        try:
            created.result(SHORT_REQUEST_SECONDS * 2)
            logger.info("created the topic %s", name)
        except KafkaException as error:
            # Two joiners that start together race to create it, and one of them finds that it exists.
            if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                raise TopicError(
                    f"cannot create the topic {name}: {error.args[0].str()}",
                    hint="check TOPIC_REPLICATION_FACTOR and the joiner's rights, or create the topic yourself",
                ) from error
    _await_leaders(admin, {topic.name for topic in topics})


def _await_leaders(admin: AdminClient, names: set[str]) -> None:
    deadline = time.monotonic() + SHORT_REQUEST_SECONDS * 3
    while True:
        topics = admin.list_topics(timeout=SHORT_REQUEST_SECONDS).topics
        ready = {
            name
            for name in names & topics.keys()
            if topics[name].error is None and all(p.leader >= 0 for p in topics[name].partitions.values())
        }
        if ready == names:
            return
        if time.monotonic() > deadline:
            raise TopicError(
                f"the topics {', '.join(sorted(names - ready))} were created but have no leader yet",
                hint="start the joiner again",
            )
        time.sleep(0.1)


def describe_configs(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return topic -> its configuration.

    Args:
        admin: a client of the cluster.
        names: the topics.

    Raises:
        Interrupted: Kafka does not answer, or refuses.
    """
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    found = {}
    for resource, answer in admin.describe_configs(resources, request_timeout=SHORT_REQUEST_SECONDS).items():
        try:
            entries = answer.result(SHORT_REQUEST_SECONDS * 2)
        except KafkaException as error:
            raise Interrupted(
                f"cannot read the settings of the topic {resource.name}: {error.args[0].str()}"
            ) from error
        found[resource.name] = {name: entry.value for name, entry in entries.items()}
    return found


def _check_policies(
    configs: Mapping[str, Mapping[str, str]], settings: JoinerSettings, changelogs: Iterable[str]
) -> None:
    """Refuse topics that would lose data: records of users, or differences that must each be seen once."""
    user_info, changes = settings.user_info_topic, settings.user_info_changes_topic
    checked = (
        (Role.USER_INFO, user_info, f"the topic {user_info} (USER_INFO_TOPIC)", ", or name another topic"),
        (Role.CHANGES, changes, f"the topic {changes} (USER_INFO_CHANGES_TOPIC)", ", or name another topic"),
        *((Role.CHANGELOG, topic, f"the changelog {topic}", "") for topic in changelogs),
        *((Role.SOURCE, topic, f"the source topic {topic}", "") for topic in settings.sources),
    )
    for role, topic, label, alternative in checked:
        for violation in check_policy(role, label, configs[topic]):
            if violation.severity is Severity.LOSES_DATA:
                raise TopicError(violation.what, f"{violation.hint}{alternative}")
            logger.warning("%s; %s", violation.what, violation.hint)
