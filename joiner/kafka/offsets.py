"""What a start finds: which topics, what they hold, how far the group has come.

Asks Kafka and decides nothing: what follows from the answers is decided in joiner.core.compatibility.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from joiner.core.compatibility import ClusterFacts, Extent, StateInputs, TopicIdentity
from joiner.core.records import PartitionId
from joiner.core.store_age import oldest_trusted_ms
from joiner.kafka.config import REQUEST_SECONDS
from joiner.kafka.topics import PreparedTopics
from joiner.settings import JoinerSettings
from shared.clock import now_ms
from shared.errors import Interrupted
from shared.kafka import build_config

LEADER_SECONDS = 10.0
"""How long partitions that have just been created may lack a leader before that is treated as an error."""


def read_cluster_facts(
    admin: AdminClient, client: Mapping[str, str], settings: JoinerSettings, prepared: PreparedTopics
) -> ClusterFacts:
    """Return what a start finds.

    Args:
        admin: a client of the cluster.
        client: where Kafka is and how to reach it, as librdkafka's properties.
        settings: names of group and topics.
        prepared: the joiner's topics, all of which exist.

    Raises:
        Interrupted: Kafka does not answer, or refuses.
    """
    inputs = read_state_inputs(admin, prepared.inputs, settings)

    def partitions_of(names: Iterable[str]) -> list[PartitionId]:
        return [(name, partition) for name in names for partition in range(inputs.topics[name].partitions)]

    changes = settings.user_info_changes_topic
    read = partitions_of((*settings.sources, changes))
    found = read_extents(
        admin,
        partitions_of(name for name in prepared.inputs if name != settings.user_info_topic),
        lambda: _read_committed(client, settings.joiner_group, read),
    )
    return ClusterFacts(
        inputs=inputs,
        sources={each: found[each] for each in partitions_of(settings.sources)},
        changes={each: found[each] for each in partitions_of([changes])},
        changelogs={each: found[each] for each in partitions_of(prepared.changelogs)},
        forgets_ms=prepared.forgets_ms,
        now_ms=now_ms(),
    )


def read_state_inputs(admin: AdminClient, names: Iterable[str], settings: JoinerSettings) -> StateInputs:
    """Return what a state would be built from.

    Args:
        admin: a client of the cluster.
        names: of the topics.
        settings: what is joined, and out of which topics.

    Raises:
        Interrupted: Kafka does not answer, or a topic no longer exists.
    """
    described = admin.describe_topics(TopicCollection(list(names)), request_timeout=REQUEST_SECONDS)
    topics = {name: _await_result(future, f"describe the topic {name}") for name, future in described.items()}
    return StateInputs(
        {name: TopicIdentity(str(topic.topic_id), len(topic.partitions)) for name, topic in topics.items()},
        view=settings.view,
        tables={topic: source.table for topic, source in settings.sources.items()},
    )


def read_extents(
    admin: AdminClient, partition_ids: Iterable[PartitionId], committed: Callable[[], Mapping[PartitionId, int]] = dict
) -> dict[PartitionId, Extent]:
    """Return what partitions hold.

    Args:
        admin: a client of the cluster.
        partition_ids: the partitions.
        committed: asks for the group's committed offsets.
    """
    partitions = [TopicPartition(*partition_id) for partition_id in partition_ids]
    # In this order, because other joiners read on and trim meanwhile: what they have read lies between both ends.
    lows = _list_offsets(admin, partitions, OffsetSpec.earliest())
    known = committed()
    highs = _list_offsets(admin, partitions, OffsetSpec.latest())
    return {each: Extent(low, highs[each], known.get(each)) for each, low in lows.items()}


def _list_offsets(admin: AdminClient, partitions: Iterable[TopicPartition], spec: OffsetSpec) -> dict[PartitionId, int]:
    offsets = _request_offsets(admin, dict.fromkeys(partitions, spec))
    return {
        (partition.topic, partition.partition): _await_result(future, f"list the offsets of {partition.topic}").offset
        for partition, future in offsets.items()
    }


def _request_offsets(
    admin: AdminClient, wanted: Mapping[TopicPartition, OffsetSpec]
) -> dict[TopicPartition, Future[Any]]:
    deadline = time.monotonic() + LEADER_SECONDS
    while True:
        listed: dict[TopicPartition, Future[Any]] = admin.list_offsets(dict(wanted), request_timeout=REQUEST_SECONDS)
        if time.monotonic() > deadline or not any(_lacks_leader(future) for future in listed.values()):
            return listed
        time.sleep(0.1)


def _lacks_leader(future: Future[Any]) -> bool:
    try:
        error = future.exception(REQUEST_SECONDS * 2)
    except TimeoutError:
        return False
    codes = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
    return isinstance(error, KafkaException) and error.args[0].code() in codes


def find_trusted_offsets(
    consumer: Any,  # noqa: ANN401 - the engine's consumer has no types
    changelogs: Iterable[TopicPartition],
    forgets_ms: Mapping[str, int],
) -> dict[PartitionId, int]:
    """Return the offset up to which each local store must hold its changelog; see `oldest_trusted_ms`.

    Args:
        consumer: asked for offsets by time.
        changelogs: partitions of changelogs.
        forgets_ms: changelog -> how long it remembers deletions.
    """
    time_ms = now_ms()
    asked = [
        TopicPartition(each.topic, each.partition, oldest_trusted_ms(time_ms, forgets_ms[each.topic]))
        for each in changelogs
    ]
    trusted = {}
    for found in consumer.offsets_for_times(asked, timeout=REQUEST_SECONDS):
        offset = found.offset
        if offset < 0:  # nothing is as new as that
            partition = TopicPartition(found.topic, found.partition)
            _, offset = consumer.get_watermark_offsets(partition, timeout=REQUEST_SECONDS)
        trusted[found.topic, found.partition] = offset
    return trusted


def _read_committed(
    client: Mapping[str, str], group: str, partition_ids: Iterable[PartitionId]
) -> dict[PartitionId, int]:
    # Asked by a consumer that never joins: an admin client does not wait for a coordinator that is just starting.
    consumer = Consumer(build_config(client, {}, {"group.id": group, "enable.auto.commit": False}))
    try:
        offsets = consumer.committed([TopicPartition(*each) for each in partition_ids], timeout=REQUEST_SECONDS)
    finally:
        consumer.close()
    return {(each.topic, each.partition): each.offset for each in offsets if each.offset >= 0}


def _await_result(future: Future[Any], what: str) -> Any:  # noqa: ANN401 - each request has a result of its own
    try:
        return future.result(REQUEST_SECONDS * 2)
    except (KafkaException, TimeoutError) as error:
        raise Interrupted(f"cannot {what}: {error}") from error
