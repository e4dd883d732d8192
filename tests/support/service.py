"""The whole service on real parts: rows change in PostgreSQL, answers come over HTTP, SQL says what they should be."""

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import httpx
import psycopg

from stack.servers.kafka import Kafka
from stack.servers.postgres import HEARTBEATS
from tests.support.http_client import get
from tests.support.joiners import Joiner
from tests.support.readers import Reader
from tests.support.waiting import wait_for

TRUTH = """
SELECT user_id::text AS "userId", username, name, description, location, web_page_url AS "webPageUrl",
       to_char(joined_date AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS "joinedDate",
       profile_image_url AS "profileImageUrl", background_image_url AS "backgroundImageUrl",
       (SELECT count(*) FROM tweets  t WHERE t.user_id     = u.user_id) AS "tweetCount",
       (SELECT count(*) FROM follows f WHERE f.follower_id = u.user_id) AS "followingCount",
       (SELECT count(*) FROM follows f WHERE f.followee_id = u.user_id) AS "followerCount",
       (SELECT count(*) FROM likes   l WHERE l.user_id     = u.user_id) AS "likeCount"
FROM users u
"""
"""What the service promises to answer, for every user, keys in the answer's order."""

Record = dict[str, object]


@dataclass(frozen=True, slots=True)
class Service:
    """One PostgreSQL and one reader, with Debezium, Kafka and a joiner between them.

    Args:
        dsn: how to connect to PostgreSQL.
        postgres_port: where it listens.
        bootstrap_servers: Kafka's address.
        joiner_port: where the joiner answers.
        reader_port: where the reader answers.
    """

    dsn: str
    postgres_port: int
    bootstrap_servers: str
    joiner_port: int
    reader_port: int

    def sql(self, *statements: str) -> None:
        """Run statements, all in one transaction."""
        with psycopg.connect(self.dsn) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def empty(self) -> None:
        """Delete every row, a TRUNCATE would not reach the topics, and wait until every user is answered 404."""
        there = self.truth()
        self.sql(*(f"DELETE FROM {table}" for table in ("likes", "follows", "tweets", "users")))
        self.await_answers(dict.fromkeys(there), 120)

    def truth(self) -> dict[str, Record]:
        """Return user id -> what SQL says that the service answers."""
        with psycopg.connect(self.dsn) as connection:
            cursor = connection.execute(TRUTH)
            names = [column.name for column in cursor.description or ()]
            return {row[0]: dict(zip(names, row, strict=True)) for row in cursor}

    def answer(self, user_id: object) -> Record | None:
        """Return what the reader answers for a user; None for 404."""
        response = get(f"http://127.0.0.1:{self.reader_port}/users/{user_id}")
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        record: Record = response.raise_for_status().json()
        return record

    def answers(self, user_ids: Sequence[str]) -> Iterator[tuple[str, Record | None]]:
        """Ask for many users over one connection, several times faster than one by one."""
        connection = HTTPConnection("127.0.0.1", self.reader_port, timeout=30)
        try:
            for user_id in user_ids:
                connection.request("GET", f"/users/{user_id}")
                response = connection.getresponse()
                body = response.read()
                assert response.status in {200, 404}, (user_id, response.status, body)
                yield user_id, json.loads(body) if response.status == httpx.codes.OK else None
        finally:
            connection.close()

    def await_answers(self, expected: Mapping[str, Record | None], seconds: float) -> None:
        """Wait until each user was once answered so, None being 404; who was is not asked again."""
        waiting = deque(expected)

        def answered() -> bool:
            for user_id, record in self.answers(list(waiting)):
                if record != expected[user_id]:
                    return False
                waiting.popleft()
            return True

        wait_for(answered, seconds, f"{len(expected)} answers as expected")

    def await_answer(self, user_id: object, seconds: float = 60.0, **expected: object) -> None:
        """Wait until a user is answered with these values."""

        def shown() -> bool:
            record = self.answer(user_id)
            return record is not None and expected.items() <= record.items()

        wait_for(shown, seconds, f"user {user_id} with {expected}, now {self.answer(user_id)},")

    def await_absence(self, user_id: object, seconds: float = 60.0) -> None:
        """Wait until a user is answered with 404."""
        wait_for(lambda: self.answer(user_id) is None, seconds, f"404 for user {user_id}")


@contextmanager
def joiner_and_reader(kafka: Kafka, folder: Path) -> Iterator[tuple[int, int]]:
    """Run one joiner and one reader; give their ports once both are ready."""
    address = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
    with (
        Joiner(address, folder / "joiner", HEARTBEATS_TOPIC=HEARTBEATS) as joiner,
        Reader(address, folder / "reader") as reader,
    ):
        joiner.wait_until_ready()
        reader.wait_until_ready()
        yield joiner.port, reader.port
