"""Topics of a measurement: created, measured by their offsets, read to the end, deleted."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import orjson
from confluent_kafka import OFFSET_END, Consumer, IsolationLevel, KafkaException, Message, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from bench.errors import MeasurementError
from shared.kafka import is_end_of_partition

SOURCE = {"cleanup.policy": "compact"}
USER_INFO_PARTITIONS = 8
"""The joiner's own default."""

LEADER_TRIES = 300


@dataclass(frozen=True, slots=True)
class Ends:
    """A topic's first and next offsets, summed over its partitions."""

    low: int
    high: int


class Topics:
    """The topics of one Kafka.

    Args:
        bootstrap_servers: where it is.
    """

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})

    def create_sources(self, names: Iterable[str], partitions: int) -> None:
        """Create the source topics, as a connector would."""
        self._create(dict.fromkeys(names, partitions))

    def create_output(self, name: str) -> None:
        """Create a topic for user-info records."""
        self._create({name: USER_INFO_PARTITIONS})

    def _create(self, topics: Mapping[str, int]) -> None:
        wanted = [NewTopic(name, partitions, 1, config=SOURCE) for name, partitions in topics.items()]
        for created in self.admin.create_topics(wanted).values():
            created.result()
        self._await_leaders(list(topics))

    def _await_leaders(self, names: list[str]) -> None:
        for _ in range(LEADER_TRIES):
            # At first a new topic is not even listed, then without a leader.
            with suppress(KafkaException, KeyError):
                self.ends(names)
                return
            time.sleep(0.1)
        raise MeasurementError(f"the topics {', '.join(names)} have no leader yet")

    def names(self) -> set[str]:
        """Return the names of all topics that are not Kafka's own."""
        return {name for name in self.admin.list_topics(timeout=10).topics if not name.startswith("__")}

    def committed_end(self, name: str) -> int:
        """Return the next offset to be committed to a topic, summed over its partitions."""
        return sum(self._offsets([name], OffsetSpec.latest(), IsolationLevel.READ_COMMITTED).values())

    def ends(self, names: Iterable[str]) -> Ends:
        """Return what all these topics hold together, commit markers included."""
        wanted = list(names)
        low = self._offsets(wanted, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED)
        high = self._offsets(wanted, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)
        return Ends(sum(low.values()), sum(high.values()))

    def _offsets(self, names: list[str], spec: OffsetSpec, isolation: IsolationLevel) -> dict[tuple[str, int], int]:
        known = self.admin.list_topics(timeout=10).topics
        wanted = {TopicPartition(name, number): spec for name in names for number in known[name].partitions}
        found = self.admin.list_offsets(wanted, isolation_level=isolation, request_timeout=30) if wanted else {}
        return {(place.topic, place.partition): future.result().offset for place, future in found.items()}

    def delete(self, names: Iterable[str]) -> None:
        """Delete topics."""
        for deleted in self.admin.delete_topics(list(names), operation_timeout=30).values():
            deleted.result()

    def purge(self, name: str) -> None:
        """Delete all records of a compacted topic."""
        # Of a topic that is compacted alone Kafka deletes none on request.
        self._set_policy(name, "compact,delete")
        partitions = self.admin.list_topics(timeout=10).topics[name].partitions
        ends = [TopicPartition(name, number, OFFSET_END) for number in partitions]
        for purged in self.admin.delete_records(ends).values():
            purged.result()
        self._set_policy(name, SOURCE["cleanup.policy"])

    def _set_policy(self, name: str, policy: str) -> None:
        entry = ConfigEntry("cleanup.policy", policy, incremental_operation=AlterConfigOpType.SET)
        wanted = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
        for changed in self.admin.incremental_alter_configs([wanted]).values():
            changed.result()

    def read(self, name: str) -> dict[bytes, bytes]:
        """Return each key's last committed value, deleted ones left out, as compaction would leave the topic."""
        latest: dict[bytes, bytes] = {}
        for message in self._messages(name):
            key, value = message.key(), message.value()
            if value is None:
                latest.pop(key, None)
            elif not key.startswith(b"\xff"):
                latest[key] = value
        return latest

    def count(self, name: str) -> int:
        """Return how many committed records a topic holds."""
        return sum(1 for _ in self._messages(name))

    def _messages(self, name: str) -> Iterator[Message]:
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "group.id": "measures",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        try:
            unread = set(consumer.list_topics(timeout=10).topics[name].partitions)
            consumer.assign([TopicPartition(name, number, 0) for number in unread])
            while unread:
                for message in consumer.consume(10_000, 1):
                    if message.error() is None:
                        yield message
                    elif is_end_of_partition(message):
                        unread.discard(message.partition())
        finally:
            consumer.close()


def check_equal(found: Mapping[bytes, bytes], keys: Sequence[str], counts: Mapping[int, list[int]]) -> None:
    """Make sure that user-info records say what SQL would.

    Args:
        found: key -> value of each record; only counts and sums are compared.
        keys: of the record's counts and sums.
        counts: user id -> what they should be.

    Raises:
        MeasurementError: they differ; names the first user that does.
    """
    for user, expected in counts.items():
        value = found.get(b"%d" % user)
        record = orjson.loads(value) if value is not None else None
        shown = [record[key] for key in keys] if record is not None else None
        if shown != expected:
            raise MeasurementError(f"user {user} should have the counts {expected} and has {shown}")
    if len(found) != len(counts):
        raise MeasurementError(f"there are {len(found)} records of {len(counts)} users")
