"""The topic as Kafka has it: asked what it is, where it begins and ends, and read. The reader's only module that does.

Reads all partitions without a consumer group, from offsets that the caller keeps. No offset is stored in Kafka, and
only committed records are read. What the client library raises becomes this service's KafkaError here.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from confluent_kafka import Consumer, IsolationLevel, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka import KafkaError as ClientError
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

from reader.replication.compatibility import CopyIdentity
from reader.storage.store import FORMAT, Record
from shared import logs
from shared.errors import KafkaError
from shared.heartbeats import parse_heartbeat
from shared.kafka import build_config, filter_known_properties, is_end_of_partition
from shared.records import MAX_ID_BYTES, OLDEST_CHANGE_HEADER, RESERVED_KEY_PREFIX
from shared.topics import MAX_MESSAGE_BYTES

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0
DEFAULT_RETENTION_MS = 24 * 60 * 60 * 1000

PREFERRED: Mapping[str, object] = {
    "max.partition.fetch.bytes": MAX_MESSAGE_BYTES,
    "fetch.wait.max.ms": 20,
    "queued.max.messages.kbytes": 32 * 1024,
}
OWN: Mapping[str, object] = {
    # librdkafka wants a group's name; nothing is ever stored under it.
    "group.id": "user-info-reader",
    "enable.auto.commit": False,
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "allow.auto.create.topics": False,
}


class Batch(NamedTuple):
    """What was read in one go.

    Args:
        records: those with a valid id, in the topic's order within each partition.
        offsets: partition -> the offset to go on from afterwards, past records that are skipped and markers.
        ended: the partitions whose end was reached, with nothing after it.
        skipped: how many keys were no ids.
        broken: why nothing more can be read from these offsets; None where it can.
        heartbeats: the reserved records; they are nobody's, and not among the others.
        oldest_ms: for each of `records`, where that was asked for, the source time of the oldest change that it shows
            for the first time; None where it does not say.
    """

    records: list[Record]
    offsets: dict[int, int]
    ended: set[int]
    skipped: int = 0
    broken: str | None = None
    heartbeats: Sequence[Record] = ()
    oldest_ms: Sequence[int | None] = ()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where each partition's log begins, and where what is committed in it ends (the last stable offset)."""

    firsts: Mapping[int, int]
    ends: Mapping[int, int]


def validate_properties(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the properties out of the environment that the reader's clients take.

    Raises:
        SettingError: a value is refused, or does not go together with the others; names the variable.
    """
    return filter_known_properties(properties, Consumer, build_consumer_config)


def build_consumer_config(properties: Mapping[str, str]) -> dict[str, object]:
    """Return how the topic is read, but for where Kafka is: what the environment sets goes before what is preferred."""
    return build_config(properties, PREFERRED, OWN)


class TopicClient:
    """One topic, by name.

    Args:
        servers: Kafka's addresses.
        name: the topic's.
        properties: further properties of the Kafka client.
    """

    def __init__(self, servers: str, name: str, properties: Mapping[str, str]) -> None:
        self.servers = servers
        self.name = name
        self._properties = properties
        self._told: dict[str, object] = {"bootstrap.servers": servers, "log_level": 3}
        self._admin = AdminClient({**build_config(properties, {}, {}), **self._told})
        self._cluster: str | None = None
        self._unanswered = True

    def identity(self, seconds: float = REQUEST_SECONDS) -> CopyIdentity | None:
        """Return what the topic is now; None where it does not exist.

        Raises:
            KafkaError: no answer within so many seconds.
        """
        if self._unanswered:
            # While it waits for a broker to ask, librdkafka's admin request connects again as fast as it is refused,
            # and takes a core from those who answer; this one keeps to its backoff.
            with _translate_errors():
                self._admin.list_topics(timeout=seconds)
        self._unanswered = True
        with _translate_errors():
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
        return CopyIdentity(self._cluster, identity, len(topic.partitions), FORMAT)

    def bounds(self, partitions: int, seconds: float = REQUEST_SECONDS) -> Bounds:
        """Return where the topic begins and ends.

        Raises:
            KafkaError: no answer within so many seconds, or there are not so many partitions.
        """
        with _translate_errors():
            firsts = self._offsets(partitions, OffsetSpec.earliest(), seconds)
            ends = self._offsets(partitions, OffsetSpec.latest(), seconds)
            return Bounds(_offsets_of(firsts), _offsets_of(ends))

    def ask_ends(self, partitions: int) -> "PendingEnds":
        """Ask where the topic ends, without waiting for the answer."""
        with _translate_errors():
            return PendingEnds(time.monotonic(), self._offsets(partitions, OffsetSpec.latest(), REQUEST_SECONDS))

    def _offsets(self, partitions: int, which: OffsetSpec, seconds: float) -> dict[int, Future[Any]]:
        wanted = {TopicPartition(self.name, partition): which for partition in range(partitions)}
        asked = self._admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=seconds)
        return {place.partition: future for place, future in asked.items()}

    def retention_ms(self) -> int:
        """Return how long the topic remembers deletions, its `delete.retention.ms`.

        Raises:
            KafkaError: no answer.
        """
        resource = ConfigResource(ResourceType.TOPIC, self.name)
        with _translate_errors():
            try:
                described = self._admin.describe_configs([resource], request_timeout=REQUEST_SECONDS)[resource].result()
                return int(described["delete.retention.ms"].value)
            except KafkaException as error:
                if error.args[0].code() != ClientError.TOPIC_AUTHORIZATION_FAILED:
                    raise
                logger.warning("may not read the topic's delete.retention.ms (DescribeConfigs); taking a day")
                return DEFAULT_RETENTION_MS

    def read(self, positions: Mapping[int, int]) -> "TopicReader":
        """Read on from some offsets: partition -> offset, for every partition."""
        consumer = Consumer({**build_consumer_config(self._properties), **self._told})
        consumer.assign([TopicPartition(self.name, *place) for place in positions.items()])
        return TopicReader(consumer)


class PendingEnds:
    """A question for the topic's ends that may not be answered yet.

    Args:
        at: when it was asked, on this machine's monotonic clock.
        futures: partition -> the answer to come.
    """

    def __init__(self, at: float, futures: Mapping[int, Future[Any]]) -> None:
        self.at = at
        self._futures = futures

    def answer(self) -> Mapping[int, int] | None:
        """Return partition -> end; None where the answer is still to come.

        Raises:
            KafkaError: there is none.
        """
        if not all(future.done() for future in self._futures.values()):
            return None
        with _translate_errors():
            return _offsets_of(self._futures)


class TopicReader:
    """The topic, read on and on.

    Args:
        consumer: with all partitions assigned.
    """

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def next(self, limit: int, seconds: float, *, timed: bool = False) -> Batch:
        """Return what is there.

        Args:
            limit: records at most.
            seconds: to wait for them at most.
            timed: tell the oldest change of each record too, which costs a little.
        """
        records: list[Record] = []
        heartbeats: list[Record] = []
        oldest_ms: list[int | None] = []
        batch = Batch(records, {}, set(), heartbeats=heartbeats, oldest_ms=oldest_ms)
        with _translate_errors():
            messages = self._consumer.consume(limit, seconds)
        for message in messages:
            partition, offset, error = message.partition(), message.offset(), message.error()
            if error is None:
                key = message.key()
                batch.offsets[partition] = offset + 1
                if key and len(key) <= MAX_ID_BYTES and (key.isascii() or _is_utf8(key)):
                    records.append(Record(key, message.value(), partition, offset, message.timestamp()[1]))
                    if timed:
                        oldest_ms.append(_read_oldest_ms(message))
                elif key and key.startswith(RESERVED_KEY_PREFIX):
                    if parse_heartbeat(key, message.value()) is not None:
                        heartbeats.append(Record(key, message.value(), partition, offset, message.timestamp()[1]))
                else:
                    batch = batch._replace(skipped=batch.skipped + 1)
                    where = message.topic(), partition, offset
                    logger.warning(
                        "skipping a record whose key is no id: %s[%d]@%d", *where, extra=logs.record_fields(*where)
                    )
                if batch.ended:
                    batch.ended.discard(partition)
            elif is_end_of_partition(message):
                # Past the markers of transactions, which take offsets and never arrive.
                batch.offsets[partition] = max(offset, batch.offsets.get(partition, 0))
                batch.ended.add(partition)
            else:
                return batch._replace(broken=f"{message.topic()}[{partition}]: {error.str()}")
        return batch

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the connections."""
        self._consumer.close()


def _offsets_of(futures: Mapping[int, Future[Any]]) -> dict[int, int]:
    return {partition: future.result().offset for partition, future in futures.items()}


def _read_oldest_ms(message: Message) -> int | None:
    for name, value in message.headers() or ():
        if name == OLDEST_CHANGE_HEADER:
            return int(value) if value is not None and value.isdigit() and len(value) < 19 else None
    return None


def _is_utf8(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise KafkaError(error.args[0].str()) from error
