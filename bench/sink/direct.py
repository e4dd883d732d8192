"""The direct way: a consumer of one table's topic that raises counters in the store, as people write it.

`python -m bench.sink.direct SERVERS TOPIC GROUP postgres DSN` or `… redis URL`. Each batch is one transaction in the
store; which rows were read is committed to Kafka on its own, as Kafka's client does by itself every five seconds.
"""

import sys
from collections import Counter
from collections.abc import Callable, Mapping

import orjson
import psycopg
import redis
from confluent_kafka import Consumer

BATCH = 1_000

Write = Callable[[Mapping[str, int]], None]
"""User -> by how much its counter rises."""


def open_postgres(dsn: str) -> Write:
    """Return what raises counters in a table."""
    connection = psycopg.connect(dsn, autocommit=True)
    statement = (
        "INSERT INTO direct (user_id, like_count) SELECT * FROM unnest(%s::text[], %s::bigint[])"
        " ON CONFLICT (user_id) DO UPDATE SET like_count = direct.like_count + EXCLUDED.like_count"
    )

    def write(counts: Mapping[str, int]) -> None:
        connection.execute(statement, [list(counts), list(counts.values())])

    return write


def open_redis(url: str) -> Write:
    """Return what raises counters in hashes."""
    client = redis.Redis.from_url(url)

    def write(counts: Mapping[str, int]) -> None:
        with client.pipeline(transaction=True) as pipe:
            for user, count in counts.items():
                pipe.hincrby(f"direct:{user}", "likeCount", count)
            pipe.execute()

    return write


def main() -> None:
    """Count until killed."""
    servers, topic, group, store, where = sys.argv[1:]
    write = {"postgres": open_postgres, "redis": open_redis}[store](where)
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            # A member that was killed is missed after this; by default only after 45 s.
            "session.timeout.ms": 6_000,
        }
    )
    consumer.subscribe([topic])
    while True:
        messages = consumer.consume(BATCH, 0.05)
        rows = [orjson.loads(message.value()) for message in messages if message.error() is None]
        if rows:
            write(Counter(str(row["user_id"]) for row in rows))


if __name__ == "__main__":
    main()
