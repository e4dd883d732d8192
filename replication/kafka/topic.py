"""The topic as Kafka has it: what it is, where it begins and ends.

What the client raises becomes this service's KafkaError.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicCollection, TopicPartition
from confluent_kafka import KafkaError as ClientError
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

from replication.compatibility import CopyIdentity
from replication.kafka.config import build_admin_config, build_consumer_config
from replication.kafka.errors import translate_errors
from replication.kafka.topic_reader import TopicReader
from replication.positions import Bounds
from shared.shards import Shard

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0
"""How long Kafka may take to answer one request: a healthy one needs milliseconds, and one that has just lost a broker
elects the partitions' next leaders within this."""

DEFAULT_TOMBSTONE_RETENTION_MS = 24 * 60 * 60 * 1000
"""Kafka's own default of `delete.retention.ms`."""


class TopicClient:
    """Asks Kafka about one topic. Only the replicator thread, or a command of its own, uses it.

    Args:
        servers: Kafka's addresses.
        name: the topic's.
        properties: further properties of the Kafka client.
        copy_format: version of what the copies of the topic are written as.
        shard: which of its partitions are read; None: all.
    """

    def __init__(
        self, servers: str, name: str, properties: Mapping[str, str], copy_format: int, shard: Shard | None = None
    ) -> None:
        self.servers = servers
        self.name = name
        self._shard = None if shard is None else str(shard)
        self._properties = properties
        self._copy_format = copy_format
        self._connection: dict[str, object] = {"bootstrap.servers": servers, "log_level": 3}
        self._admin = AdminClient({**build_admin_config(properties), **self._connection})
        self._cluster: str | None = None
        self._unanswered = True

    def read_identity(self, seconds: float = REQUEST_SECONDS) -> CopyIdentity | None:
        """Return what the topic is now; None if it does not exist.

        Args:
            seconds: how long Kafka may take to answer.

        Raises:
            KafkaError: it took longer.
        """
        if self._unanswered:
            # While it waits for a broker, librdkafka's admin request connects again as fast as it is refused, and takes
            # a core from the threads that answer clients; this request keeps to its backoff.
            with translate_errors():
                self._admin.list_topics(timeout=seconds)
        self._unanswered = True
        with translate_errors():
            if self._cluster is None:
                self._cluster = self._admin.describe_cluster(request_timeout=seconds).result().cluster_id
            wanted = TopicCollection([self.name])
            try:
                topic = self._admin.describe_topics(wanted, request_timeout=seconds)[self.name].result()
            except KafkaException as error:
                if error.args[0].code() != ClientError.UNKNOWN_TOPIC_OR_PART:
                    raise
                self._unanswered = False
                return None
        self._unanswered = False
        topic_id = topic.topic_id
        identity = f"{topic_id.get_most_significant_bits():x}-{topic_id.get_least_significant_bits():x}"
        return CopyIdentity(self._cluster, identity, len(topic.partitions), self._copy_format, self._shard)

    def read_bounds(self, partitions: Iterable[int]) -> Bounds:
        """Return where partitions of the topic begin and end.

        Raises:
            KafkaError: no answer within REQUEST_SECONDS, or there are fewer partitions.
        """
        with translate_errors():
            firsts = self._ask_offsets(partitions, OffsetSpec.earliest())
            ends = self._ask_offsets(partitions, OffsetSpec.latest())
            return Bounds(_offsets_of(firsts), _offsets_of(ends))

    def ask_ends(self, partitions: Iterable[int]) -> "PendingEnds":
        """Ask where partitions of the topic end, without waiting for the answer."""
        with translate_errors():
            return PendingEnds(time.monotonic(), self._ask_offsets(partitions, OffsetSpec.latest()))

    def _ask_offsets(self, partitions: Iterable[int], which: OffsetSpec) -> dict[int, Future[Any]]:
        wanted = {TopicPartition(self.name, partition): which for partition in partitions}
        level = IsolationLevel.READ_COMMITTED
        asked = self._admin.list_offsets(wanted, isolation_level=level, request_timeout=REQUEST_SECONDS)
        return {partition.partition: future for partition, future in asked.items()}

    def read_tombstone_retention_ms(self) -> int:
        """Return how long the topic keeps tombstones, its `delete.retention.ms`.

        Raises:
            KafkaError: no answer.
        """
        resource = ConfigResource(ResourceType.TOPIC, self.name)
        with translate_errors():
            try:
                described = self._admin.describe_configs([resource], request_timeout=REQUEST_SECONDS)[resource].result()
                return int(described["delete.retention.ms"].value)
            except KafkaException as error:
                if error.args[0].code() != ClientError.TOPIC_AUTHORIZATION_FAILED:
                    raise
                logger.warning("may not read the topic's delete.retention.ms (DescribeConfigs); assuming a day")
                return DEFAULT_TOMBSTONE_RETENTION_MS

    def open_reader(self, positions: Mapping[int, int]) -> TopicReader:
        """Return a reader of the topic; to be used as a context.

        Args:
            positions: partition -> the next offset to read, for every partition that is to be read.
        """
        consumer = Consumer({**build_consumer_config(self._properties), **self._connection})
        consumer.assign([TopicPartition(self.name, *position) for position in positions.items()])
        return TopicReader(consumer)


class PendingEnds:
    """A question for the topic's ends that may not be answered yet.

    Args:
        asked_at: when it was asked, on this machine's monotonic clock.
        futures: partition -> the answer to come.
    """

    def __init__(self, asked_at: float, futures: Mapping[int, Future[Any]]) -> None:
        self.asked_at = asked_at
        self._futures = futures

    def poll(self) -> Mapping[int, int] | None:
        """Return partition -> end; None if the answer is still to come.

        Raises:
            KafkaError: Kafka does not answer.
        """
        if not all(future.done() for future in self._futures.values()):
            return None
        with translate_errors():
            return _offsets_of(self._futures)


def _offsets_of(futures: Mapping[int, Future[Any]]) -> dict[int, int]:
    return {partition: future.result().offset for partition, future in futures.items()}
