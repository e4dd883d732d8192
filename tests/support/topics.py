"""Topics of one test on a shared Kafka: source rows in, user-info out, and the truth to compare with."""

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from shared.topics import SOURCE_MESSAGE_BYTES
from tests.support.waiting import wait_for

TABLES = {
    "users": ("user_id", ()),
    "tweets": ("tweet_id", (("user_id", "tweetCount"),)),
    "follows": ("follow_id", (("follower_id", "followingCount"), ("followee_id", "followerCount"))),
    "likes": ("like_id", (("user_id", "likeCount"),)),
}
USER_INFO_PARTITIONS = 3
COUNTS = ("tweetCount", "followingCount", "followerCount", "likeCount")


@dataclass
class Topics:
    """A set of topics with names of its own, and what was written to them.

    Args:
        bootstrap_servers: where Kafka is.
        prefix: what the names begin with, so that tests share a broker.
        rows: table -> row id -> row, after all that was written.
    """

    bootstrap_servers: str
    prefix: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}-")
    rows: dict[str, dict[str, dict[str, object]]] = field(default_factory=lambda: {table: {} for table in TABLES})

    def __post_init__(self) -> None:
        """Make the clients; idempotent, since order within a key is what the joiner builds on."""
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        self._producer = Producer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.max.bytes": SOURCE_MESSAGE_BYTES,
            }
        )

    def name(self, topic: str) -> str:
        """Return this test's name of a topic."""
        return self.prefix + topic

    def settings(self) -> dict[str, str]:
        """Return the environment that names Kafka and every topic."""
        names = ("users", "tweets", "follows", "likes", "user-info", "user-info-changes")
        topics = {f"{name.upper().replace('-', '_')}_TOPIC": self.name(name) for name in names}
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "DEAD_LETTERS_TOPIC": self.name("user-info-dead-letters"),
            "JOINER_GROUP": f"{self.prefix}joiner",
            **topics,
        }

    def create(self, *topics: str, partitions: int = 3, **config: str) -> None:
        """Create topics; compacted unless the configuration says otherwise."""
        config = {"cleanup_policy": "compact", "max_message_bytes": str(SOURCE_MESSAGE_BYTES)} | config
        broker_config = {name.replace("_", "."): value for name, value in config.items()}
        wanted = [NewTopic(self.name(topic), partitions, 1, config=broker_config) for topic in topics]
        for created in self.admin.create_topics(wanted).values():
            created.result()

    def create_sources(self, partitions: int = 3) -> None:
        """Create the four source topics, as a connector would."""
        self.create(*TABLES, partitions=partitions)

    def recreate(self, topic: str, partitions: int = 3) -> None:
        """Delete a topic with all that was written to it, and make an empty one of the same name."""
        self.drop(topic)
        self.create(topic, partitions=partitions)
        self.rows.get(topic, {}).clear()

    def drop(self, topic: str) -> None:
        """Delete a topic, and wait until it is gone."""
        for deleted in self.admin.delete_topics([self.name(topic)]).values():
            deleted.result()
        wait_for(lambda: self.name(topic) not in self.admin.list_topics(timeout=10).topics, what="the topic gone")

    def put(self, table: str, **row: object) -> None:
        """Write a row as flat JSON under its primary key as text."""
        key = str(row[TABLES[table][0]])
        self.rows[table][key] = row
        self.send(table, key.encode(), json.dumps(row).encode())

    def delete(self, table: str, row_id: object) -> None:
        """Write a row's deletion."""
        self.rows[table].pop(str(row_id), None)
        self.send(table, str(row_id).encode(), None)

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int = -1,
        headers: Mapping[str, bytes] | None = None,
    ) -> None:
        """Write a record as it is, to a partition; -1: to that of its key."""
        self._producer.produce(self.name(topic), value, key, partition=partition, headers=dict(headers or {}))
        self._producer.poll(0)

    def write(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """Write a record as it is, and wait until it has arrived."""
        self.send(topic, key, value)
        self.flush()

    def flush(self) -> None:
        """Wait until all that was written has arrived."""
        assert 0 == self._producer.flush(30)

    def cut(self, topic: str, partition: int, offset: int) -> None:
        """Delete a partition's records before an offset, which a compacted topic allows only once reconfigured."""
        self.configure(topic, cleanup_policy="compact,delete")
        place = TopicPartition(self.name(topic), partition, offset)
        for deleted in self.admin.delete_records([place]).values():
            deleted.result()
        self.configure(topic, cleanup_policy="compact")

    def configure(self, topic: str, **config: str) -> None:
        """Change a topic's configuration."""
        entries = [
            ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
            for name, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, self.name(topic), incremental_configs=entries)
        for changed in self.admin.incremental_alter_configs([resource]).values():
            changed.result()

    def truth(self) -> dict[str, dict[str, int]]:
        """Return what SQL would count over the rows: user id -> the four counts."""
        counted: Counter[tuple[str, str]] = Counter()
        for table, (_, owners) in TABLES.items():
            for row in self.rows[table].values():
                counted.update((str(row[owner]), count) for owner, count in owners if row[owner] is not None)
        return {user: {count: counted[user, count] for count in COUNTS} for user in self.rows["users"]}

    def user_info(self) -> dict[str, dict[str, int]]:
        """Return what the topic user-info says: user id -> the four counts."""
        records = compact(self.messages("user-info"))
        bodies = {key.decode(): json.loads(value) for key, value in records.items()}
        return {user: {count: body[count] for count in COUNTS} for user, body in bodies.items()}

    def latest(self, topic: str) -> Mapping[bytes, bytes]:
        """Return each key's last value in a topic."""
        return compact(self.messages(topic))

    def messages(self, topic: str) -> list[Message]:
        """Return all committed records of a topic, partition by partition; none where it does not exist."""
        return read_all(self.bootstrap_servers, self.name(topic))


def read_all(bootstrap_servers: str, topic: str) -> list[Message]:
    """Return all committed records of a topic up to its ends, in order within each partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "reads-everything",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )
    try:
        metadata = consumer.list_topics(timeout=10).topics.get(topic)
        unread = set(metadata.partitions) if metadata is not None else set()
        consumer.assign([TopicPartition(topic, partition, 0) for partition in unread])
        messages = []
        while unread:
            first = consumer.poll(1)
            # Asked to wait, `consume` would wait for thousands of records or for the whole time, even with records
            # there.
            for message in [first, *consumer.consume(5_000, 0)] if first is not None else []:
                if message.error() is not None:
                    unread.discard(message.partition())
                else:
                    messages.append(message)
        return messages
    finally:
        consumer.close()


def compact(messages: Iterable[Message]) -> Mapping[bytes, bytes]:
    """Return each key's last value, as compaction leaves it; reserved keys left out."""
    latest: dict[bytes, bytes] = {}
    for message in messages:
        key, value = message.key(), message.value()
        assert key is not None
        if value is None:
            latest.pop(key, None)
        elif not key.startswith(b"\xff"):
            latest[key] = value
    return latest


def headers_of(message: Message) -> dict[str, bytes]:
    """Return a record's headers by name."""
    return dict(message.headers() or [])
