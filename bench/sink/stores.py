"""The stores of the measurement, and what is asked of them."""

from typing import Any

import psycopg
import redis

from sink.redis.commands import Form


class MeasuredPostgres:
    """A PostgreSQL."""

    name, kind = "PostgreSQL", "postgres"

    def __init__(self, dsn: str) -> None:
        self.where = dsn
        self.settings = {"SINK_POSTGRES_DSN": dsn}

    def empty(self) -> None:
        """Delete all that is there, and make what the direct way needs."""
        tables = ("direct", "user_information", *(f"user_information_{end}" for end in ("next", "sink", "refused")))
        with psycopg.connect(self.where, autocommit=True) as connection:
            for table in tables:
                connection.execute(f"DROP TABLE IF EXISTS {table}".encode())
            connection.execute("CREATE TABLE direct (user_id text PRIMARY KEY, like_count bigint NOT NULL)")

    def count_likes(self) -> int:
        """Return the sum of the counters that the direct way has raised."""
        with psycopg.connect(self.where) as connection:
            row = connection.execute("SELECT coalesce(sum(like_count), 0) FROM direct").fetchone()
        return int(row[0]) if row else 0


class MeasuredRedis:
    """A Redis, in one form."""

    kind = "redis"

    def __init__(self, url: str, form: Form) -> None:
        self.name = f"Redis, {form}"
        self.where = url
        self.settings = {"SINK_REDIS_URL": url, "SINK_REDIS_FORM": form}
        self._client: Any = redis.Redis.from_url(url)

    def empty(self) -> None:
        """Delete all that is there."""
        self._client.flushall()

    def count_likes(self) -> int:
        """Return the sum of the counters that the direct way has raised."""
        keys = list(self._client.scan_iter(match="direct:*", count=10_000))
        with self._client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hget(key, "likeCount")
            return sum(map(int, pipe.execute()))


MeasuredStore = MeasuredPostgres | MeasuredRedis
