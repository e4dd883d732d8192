"""The topic user-info as the joiner would have written it: in transactions, with its header and its partitioning."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator

import orjson
import psycopg
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from bench.reader.peers import postgres_service
from shared.records import COUNT_KEYS, OLDEST_CHANGE_HEADER, PROFILE_COLUMNS
from shared.topics import MAX_MESSAGE_BYTES, PARTITIONER, user_info_spec

PARTITIONS = 8
TRANSACTION = 20_000
"""Records in one transaction while a topic is filled."""

TRANSACTION_SECONDS = 0.1
"""How often the joiner commits, and so how often updates arrive."""

Record = tuple[bytes, bytes]
"""User id, body."""


def create_topic(bootstrap_servers: str, name: str) -> None:
    """Make a topic as the joiner makes user-info."""
    topic = user_info_spec(name, PARTITIONS)
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    new = NewTopic(topic.name, topic.partitions, 1, config=topic.config)
    admin.create_topics([new])[name].result(30)


def read_postgres(dsn: str) -> Iterator[Record]:
    """Yield what SQL says of every user."""
    with psycopg.connect(dsn) as connection, connection.cursor("everything") as rows:
        rows.itersize = 5000
        rows.execute(postgres_service.EVERY_USER)
        for row in rows:
            yield row[0].encode(), postgres_service.build_body(row)


def invent_records(users: int) -> Iterator[Record]:
    """Yield as many records of made-up users, of a usual size."""
    for user_id in range(1, users + 1):
        yield b"%d" % user_id, invent_body(user_id, user_id % 97)


def invent_body(user_id: int, likes: int) -> bytes:
    """Return a made-up user's record."""
    handle = f"user{user_id}"
    profile = dict.fromkeys(PROFILE_COLUMNS.values(), handle) | {
        "description": f"coffee rivers compilers ferns données bicycles tea chess maps salsa {user_id}",
        "webPageUrl": f"https://example.org/{handle}",
        "joinedDate": "2017-03-04T05:06:07+00:00",
        "profileImageUrl": f"https://img.example.org/{handle}.jpg",
        "backgroundImageUrl": None,
    }
    counts = dict.fromkeys(COUNT_KEYS, 3) | {"likeCount": likes}
    return orjson.dumps({"userId": str(user_id), **profile, **counts})


def fill_topic(bootstrap_servers: str, topic: str, records: Iterable[Record], say: Callable[[str], None]) -> int:
    """Write records in large transactions; return how many there were."""
    producer = build_producer(bootstrap_servers, f"fills-{topic}")
    batches = iter(records)
    written = 0
    while batch := list(itertools.islice(batches, TRANSACTION)):
        write_transaction(producer, topic, batch)
        written += len(batch)
        if written % (10 * TRANSACTION) == 0:
            say(f"{topic}: {written:,} records")
    say(f"{topic}: {written:,} records")
    return written


def build_producer(bootstrap_servers: str, transactional_id: str) -> Producer:
    """Return a producer as the joiner has one."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "transactional.id": transactional_id,
            "partitioner": PARTITIONER,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "linger.ms": 5,
            "log_level": 3,
            "queue.buffering.max.messages": 10 * TRANSACTION,
        }
    )
    producer.init_transactions(30)
    return producer


def write_transaction(producer: Producer, topic: str, records: Iterable[Record]) -> None:
    """Write records in one transaction."""
    headers = [(OLDEST_CHANGE_HEADER, b"%d" % (time.time_ns() // 1_000_000))]
    producer.begin_transaction()
    for key, value in records:
        producer.produce(topic, value, key, headers=headers)
        producer.poll(0)
    producer.commit_transaction(30)
