"""Prepares the joiner's topics at start: waits for the sources, creates its own topics, checks what exactness needs.

Knows Kafka's admin interface and nothing of rows, states or Quix.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from joiner.kafka.config import SHORT_REQUEST_SECONDS
from joiner.kafka.topic_checks import find_violations, read_configs, warn_or_refuse
from joiner.settings import JoinerSettings
from shared.errors import KafkaError, TopicError
from shared.topic_rules import ENDS_START, letter_room
from shared.topics import (
    CREATION_CONFIG,
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

UNKNOWN_PROPERTY = ("INVALID_CONFIG", "POLICY_VIOLATION")
"""What brokers before 3.6, which know no bounds of time, and some hosted ones say to a property of `CREATION_CONFIG`.
They get topics with their own defaults, and the check that follows says whether these will do."""


@dataclass(frozen=True, slots=True)
class PreparedTopics:
    """The topics that the joiner works with: all exist, none of them loses data or refuses what is written to it.

    Args:
        changes_partitions: how many partitions the internal topic has.
        user_info_partitions: how many user-info has.
        changelogs: names of the stores' changelogs.
        ledger: name of the ledger topic.
        inputs: names of all topics that the joined state belongs to.
        forgets_ms: compacted topic -> how long it remembers deletions, its `delete.retention.ms`.
        letter_room: how many bytes key and value of a dead letter may have together.
        warned: what was warned of.
    """

    changes_partitions: int
    user_info_partitions: int
    changelogs: Sequence[str]
    ledger: str
    inputs: Sequence[str]
    forgets_ms: Mapping[str, int]
    letter_room: int
    warned: frozenset[str]


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
        TopicError: a source is still missing then, or a topic would lose data or refuse records; names the topic.
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
    existing = count_partitions(admin)
    counts = {topic.name: topic.partitions for topic in own} | existing
    changelogs = _changelog_specs(settings, counts)
    wanted = (*own, *changelogs)
    _create_topics(admin, [topic for topic in wanted if topic.name not in existing], settings.topic_replication_factor)
    configs = read_configs(admin, settings)
    warned = warn_or_refuse(find_violations(settings, configs), ENDS_START, frozenset())
    inputs = [*settings.sources, *(topic.name for topic in changelogs)]
    return PreparedTopics(
        changes_partitions=counts[settings.user_info_changes_topic],
        user_info_partitions=counts[settings.user_info_topic],
        changelogs=[topic.name for topic in changelogs],
        ledger=settings.ledger_topic,
        inputs=[*inputs, settings.user_info_changes_topic, settings.user_info_topic],
        forgets_ms={
            name: int(configs[name].properties["delete.retention.ms"])
            for name in inputs
            if "compact" in configs[name].properties["cleanup.policy"]
        },
        letter_room=letter_room(configs[settings.dead_letters_topic].properties),
        warned=warned,
    )


def prepare_ledger(admin: AdminClient, settings: JoinerSettings) -> None:
    """Create the ledger where it is missing."""
    if settings.ledger_topic not in count_partitions(admin):
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
        existing = count_partitions(admin)
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


def count_partitions(admin: AdminClient) -> dict[str, int]:
    """Return every topic that exists, with how many partitions it has."""
    topics = admin.list_topics(timeout=SHORT_REQUEST_SECONDS).topics
    return {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}


def _create_topics(admin: AdminClient, topics: Sequence[TopicSpec], replicas: int | None) -> None:
    if not topics:
        return
    failed = _try_to_create(admin, topics, replicas, CREATION_CONFIG)
    again = [topic for topic in topics if topic.name in failed and failed[topic.name].name() in UNKNOWN_PROPERTY]
    if again:
        failed |= dict.fromkeys([topic.name for topic in again]) | _try_to_create(admin, again, replicas, {})
    for name, error in failed.items():
        # Two joiners that start together race to create it, and one of them finds that it exists.
        if error is not None and error.name() != "TOPIC_ALREADY_EXISTS":
            raise TopicError(
                f"cannot create the topic {name}: {error.str()}",
                hint="check TOPIC_REPLICATION_FACTOR and the joiner's rights, or create the topic yourself",
            )
        hidden = admin.list_topics(name, timeout=SHORT_REQUEST_SECONDS).topics[name].error
        if hidden is not None and hidden.name() == "TOPIC_AUTHORIZATION_FAILED":
            raise TopicError(
                f"the joiner's user may not see the topic {name}, which exists: {hidden.str()}",
                hint="give it the rights that docs/operations.md lists",
            )
    _await_leaders(admin, {topic.name for topic in topics})


def _try_to_create(
    admin: AdminClient, topics: Sequence[TopicSpec], replicas: int | None, common: Mapping[str, str]
) -> dict[str, Any]:
    """Create topics; return topic -> the client's error, of those that could not be created."""
    wanted = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=-1 if replicas is None else replicas,
            config={**common, **topic.config},
        )
        for topic in topics
    ]
    failed = {}
    for name, created in admin.create_topics(wanted, request_timeout=SHORT_REQUEST_SECONDS).items():
        try:
            created.result(SHORT_REQUEST_SECONDS * 2)
            logger.info("created the topic %s", name)
        except KafkaException as error:
            failed[name] = error.args[0]
    return failed


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
