"""Checks the configuration of every topic that the joiner reads or writes: at its start, and again while it runs.

Asks Kafka and decides nothing: the rules are in shared.topic_rules.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from typing import NamedTuple

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient, ConfigResource, ResourceType

from joiner.kafka.config import SHORT_REQUEST_SECONDS
from joiner.settings import JoinerSettings
from shared.errors import Interrupted, TopicError
from shared.topic_rules import Role, Severity, Violation, check_topic

logger = logging.getLogger(__name__)


class TopicConfig(NamedTuple):
    """What the rules are about.

    Args:
        properties: broker-side property -> value.
        replicas: of the partition that has the fewest; 0 where Kafka does not say yet.
        writable: False where the joiner's user may not write to it.
    """

    properties: Mapping[str, str]
    replicas: int
    writable: bool = True


def list_roles(settings: JoinerSettings) -> dict[str, Role]:
    """Return each topic -> what it is for."""
    roles = dict.fromkeys(settings.sources, Role.SOURCE) | {
        settings.user_info_topic: Role.USER_INFO,
        settings.user_info_changes_topic: Role.CHANGES,
        settings.dead_letters_topic: Role.DEAD_LETTERS,
        settings.ledger_topic: Role.LEDGER,
        **dict.fromkeys(settings.changelogs.values(), Role.CHANGELOG),
    }
    if settings.joiner_writes_heartbeats and settings.heartbeats_topic:
        roles[settings.heartbeats_topic] = Role.HEARTBEATS
    return roles


def read_configs(admin: AdminClient, settings: JoinerSettings) -> dict[str, TopicConfig]:
    """Return topic -> its configuration, of all topics that have a role.

    Args:
        admin: a client of the cluster.
        settings: names of the topics, all of which exist.

    Raises:
        Interrupted: Kafka does not answer, or refuses.
    """
    names = list(list_roles(settings))
    described = admin.describe_topics(
        TopicCollection(names), include_authorized_operations=True, request_timeout=SHORT_REQUEST_SECONDS
    )
    found = {}
    for name, properties in describe_configs(admin, names).items():
        try:
            topic = described[name].result(SHORT_REQUEST_SECONDS * 2)
        except KafkaException as error:
            raise Interrupted(f"cannot describe the topic {name}: {error.args[0].str()}") from error
        replicas = min((len(partition.replicas) for partition in topic.partitions), default=0)
        allowed = topic.authorized_operations
        found[name] = TopicConfig(properties, replicas, allowed is None or AclOperation.WRITE in allowed)
    return found


def describe_configs(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return topic -> its properties.

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


def find_violations(settings: JoinerSettings, configs: Mapping[str, TopicConfig]) -> Iterator[Violation]:
    """Yield the rules that topics break, apart from what only the source's owner can judge.

    Args:
        settings: names of the topics.
        configs: topic -> its configuration.
    """
    variables = {topic: variable for variable, topic in settings.topic_names().items()}
    called = {Role.SOURCE: "the source topic", Role.CHANGELOG: "the changelog", Role.LEDGER: "the ledger"}
    for topic, role in list_roles(settings).items():
        own = role not in called
        label = f"{called.get(role, 'the topic')} {topic}{f' ({variables[topic]})' if own else ''}"
        if not configs[topic].writable and role is not Role.SOURCE:
            hint = "give it the rights that docs/operations.md lists"
            yield Violation(f"the joiner's user may not write to {label}", hint, Severity.REFUSES_ALL)
        for violation in check_topic(role, label, configs[topic].properties, configs[topic].replicas or None):
            if violation.severity is Severity.STOPS_SOURCE:
                continue
            hint = f"{violation.hint}, or name another topic" if own else violation.hint
            yield Violation(violation.what, hint, violation.severity)


def warn_or_refuse(violations: Iterable[Violation], refused: Collection[Severity], warned: Set[str]) -> frozenset[str]:
    """Warn of violations, each once, or raise the first that is too severe.

    Args:
        violations: what was found.
        refused: the severities that end the joiner.
        warned: what was warned of before, as this function returned it.

    Returns:
        What has been warned of and still holds.

    Raises:
        TopicError: a violation is of one of those severities.
    """
    hold: set[str] = set()
    for violation in violations:
        if violation.severity in refused:
            raise TopicError(violation.what, violation.hint)
        if violation.what not in warned:
            logger.warning("%s; %s", violation.what, violation.hint)
        hold.add(violation.what)
    return frozenset(hold)
