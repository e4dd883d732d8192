"""A deployment asked from the outside: its topics by Kafka's admin interface, its processes over HTTP.

Guarantees that nothing is changed; whoever does not answer is a finding, not an error. What is found is judged in
`doctor/checks.py`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import httpx
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from doctor.checks import DoctorSettings, Finding, TopicFacts, Verdict, of_connector, of_tier, of_topics
from shared.errors import KafkaError
from shared.kafka import check_credentials, filter_known_properties

SECONDS = 10.0


def examine(
    settings: DoctorSettings, connectors: Sequence[str], joiners: Sequence[str], readers: Sequence[str]
) -> Iterator[Finding]:
    """Yield everything that was looked at, in the order that data goes.

    Args:
        settings: where Kafka is and how its topics are called.
        connectors: URLs such as ``http://connect:8083/connectors/user-info``.
        joiners: URLs such as ``http://joiner-1:8001``.
        readers: URLs such as ``http://reader-1:8000``.
    """
    for url in connectors:
        status, document = _asked(f"{url}/status")
        yield of_connector(url, document if status == 200 else None)
    try:
        yield from of_topics(settings, topics(settings))
    except KafkaError as error:
        yield Finding(Verdict.WRONG, str(error), "nothing works without it: see to Kafka, or KAFKA_BOOTSTRAP_SERVERS")
    for tier, urls in (("joiner", joiners), ("reader", readers)):
        for url in urls:
            yield of_tier(tier, f"{url}/readyz", *_asked(f"{url}/readyz"))


def topics(settings: DoctorSettings) -> dict[str, TopicFacts]:
    """Return what Kafka says of those of the topics that exist.

    Raises:
        KafkaError: it does not answer, or refuses us.
    """
    servers = settings.kafka_bootstrap_servers
    properties = check_credentials(
        servers, filter_known_properties(settings.kafka_properties, AdminClient), AdminClient
    )
    try:
        admin = AdminClient({"bootstrap.servers": servers, "log_level": 0, **properties})
        existing = admin.list_topics(timeout=SECONDS).topics
        names = [name for name in settings.topic_names().values() if name in existing]
        if not names:
            return {}
        described = admin.describe_topics(TopicCollection(names), request_timeout=SECONDS)
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        configs = {asked.name: told for asked, told in admin.describe_configs(resources).items()}
        return {name: _facts(described[name].result(), configs[name].result()) for name in names}
    except KafkaException as error:
        raise KafkaError(f"Kafka at {servers} does not answer: {error.args[0].str()}") from error


def _facts(topic: Any, config: Any) -> TopicFacts:  # noqa: ANN401 - the client library has no types
    return TopicFacts(
        partitions=len(topic.partitions),
        replicas=min(len(partition.replicas) for partition in topic.partitions),
        in_sync=min(len(partition.isr) for partition in topic.partitions),
        config={name: entry.value for name, entry in config.items()},
    )


def _asked(url: str) -> tuple[int | None, dict[str, Any]]:
    """Return status and JSON body of an answer; no status where there is none."""
    try:
        answer = httpx.get(url, timeout=SECONDS)
        document = answer.json()
    except (httpx.HTTPError, ValueError):
        return None, {}
    return answer.status_code, document if isinstance(document, dict) else {}
