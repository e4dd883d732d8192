"""Probes a deployment from the outside: its topics by Kafka's admin interface, its processes over HTTP.

Guarantees that nothing is changed, and that a server that does not answer is a finding, not an error. The facts are
judged in `doctor/checks.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from doctor.checks import DoctorSettings, Finding, TopicFacts, Verdict, check_connector, check_tier, check_topics
from doctor.connector_config import check_connector_config
from doctor.source_rows import SourceRows
from joiner.core.plan import compile_view
from joiner.kafka.scan import scan
from joiner.registry.decoders import open_decoder
from shared.errors import KafkaError
from shared.kafka import check_credentials, filter_known_properties

REQUEST_SECONDS = 10.0

REPORT_RECORDS = 100_000


def probe(
    settings: DoctorSettings, connectors: Sequence[str], joiners: Sequence[str], readers: Sequence[str]
) -> Iterator[Finding]:
    """Yield the findings about every part, in the order of the data's path.

    Args:
        settings: where Kafka is and what its topics are called.
        connectors: URLs such as ``http://connect:8083/connectors/user-info``.
        joiners: URLs such as ``http://joiner-1:8001``.
        readers: URLs such as ``http://reader-1:8000``.
    """
    for url in connectors:
        status, document = _get(f"{url}/status")
        yield check_connector(url, document if status == 200 else None)
        if status == 200:
            yield from check_connector_config(url, _get(f"{url}/config")[1])
    try:
        yield from check_topics(settings, read_topics(settings))
    except KafkaError as error:
        yield Finding(Verdict.WRONG, error.what, error.hint or "fix this first: nothing works without Kafka")
    for tier, urls in (("joiner", joiners), ("reader", readers)):
        for url in urls:
            yield check_tier(tier, f"{url}/readyz", *_get(f"{url}/readyz"))


def probe_rows(settings: DoctorSettings, report: Callable[[str, int], None]) -> Iterator[Finding]:
    """Yield the findings about what the source topics hold; reads them from beginning to end.

    Args:
        settings: where Kafka is and what its topics are called.
        report: told a topic, and how many of its records are read, from time to time.

    Raises:
        KafkaError: Kafka does not answer, or refuses.
        RegistryAway: the schema registry does not answer.
        RegistryError: the schema registry refuses.
    """
    tables = compile_view(settings.view).tables
    client, avro = _client(settings), open_decoder(settings)
    existing = AdminClient(client).list_topics(timeout=REQUEST_SECONDS).topics
    for topic, source in settings.sources.items():
        if topic not in existing:
            continue
        rows = SourceRows(topic, tables[source.table], avro)
        for number, message in enumerate(scan(client, topic, existing[topic].partitions), 1):
            rows.take(message.partition(), message.key(), message.value())
            if number % REPORT_RECORDS == 0:
                report(topic, number)
        yield from rows.judge()


def _client(settings: DoctorSettings) -> dict[str, str]:
    """Return what every Kafka client needs.

    Raises:
        KafkaError: Kafka refuses the credentials.
    """
    servers = settings.kafka_bootstrap_servers
    known = filter_known_properties(settings.kafka_properties, AdminClient)
    return {"bootstrap.servers": servers, "log_level": "0", **check_credentials(servers, known, AdminClient)}


def read_topics(settings: DoctorSettings) -> dict[str, TopicFacts]:
    """Return what Kafka says about the topics that exist.

    Raises:
        KafkaError: it does not answer, or refuses the credentials.
    """
    client = _client(settings)
    try:
        admin = AdminClient(client)
        existing = admin.list_topics(timeout=REQUEST_SECONDS).topics
        names = [name for name in settings.topic_names().values() if name in existing]
        if not names:
            return {}
        described = admin.describe_topics(TopicCollection(names), request_timeout=REQUEST_SECONDS)
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        configs = {resource.name: config for resource, config in admin.describe_configs(resources).items()}
        return {name: _to_facts(described[name].result(), configs[name].result()) for name in names}
    except KafkaException as error:
        raise KafkaError(
            f"Kafka at {settings.kafka_bootstrap_servers} does not answer: {error.args[0].str()}",
            "check Kafka, or KAFKA_BOOTSTRAP_SERVERS; nothing works without it",
        ) from error


def _to_facts(topic: Any, config: Any) -> TopicFacts:  # noqa: ANN401 - the client library has no types
    return TopicFacts(
        partitions=len(topic.partitions),
        replicas=min(len(partition.replicas) for partition in topic.partitions),
        in_sync=min(len(partition.isr) for partition in topic.partitions),
        config={name: entry.value for name, entry in config.items()},
    )


def _get(url: str) -> tuple[int | None, dict[str, Any]]:
    """Return the status and the JSON body of a response; no status where there is none."""
    try:
        response = httpx.get(url, timeout=REQUEST_SECONDS)
        document = response.json()
    except (httpx.HTTPError, ValueError):
        return None, {}
    return response.status_code, document if isinstance(document, dict) else {}
