"""Drives sinks, one process each, and reads the stores that they write, as other programs would."""

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Self

import psutil
import psycopg
import redis
from prometheus_client.parser import text_string_to_metric_families

from bench.reader.services import valkey_command
from shared.shape import BUILT_IN_SHAPE, Shape
from sink.postgres.columns import to_columns
from sink.records import split_record
from stack.servers.ports import free_port
from stack.servers.postgres import Postgres
from stack.servers.process import Command
from tests.support.programs import Tier
from tests.support.waiting import wait_for

PREFIX = "user:"


class Sink(Tier):
    """One sink process, with a port of its own.

    Args:
        store: ``postgres`` or ``redis``.
        settings: where Kafka is, what the topic is called, and where the store is.
        log: where its output goes.
    """

    port_variable: ClassVar[str] = "SINK_HTTP_PORT"
    state_seconds: ClassVar[float] = 60.0

    def __init__(self, store: str, settings: Mapping[str, str], log: Path) -> None:
        super().__init__("sink", {"SINK_HTTP_PORT": str(free_port()), **settings}, log, store)

    def metric(self, name: str) -> float:
        """Return a metric that has no labels."""
        families = text_string_to_metric_families(self.get("/metrics").text)
        return {sample.name: sample.value for family in families for sample in family.samples}[name]


class PostgresTable:
    """A table as programs read it, and as a sink is told of it.

    Args:
        dsn: of its database.
        name: of the table.
    """

    kind = "postgres"

    def __init__(self, dsn: str, name: str) -> None:
        self.dsn = dsn
        self.name = name

    @property
    def settings(self) -> dict[str, str]:
        """What a sink is told."""
        return {"SINK_POSTGRES_DSN": self.dsn, "SINK_POSTGRES_TABLE": self.name}

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement, with {} for the table's name, and return its rows."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.format(self.name).encode())
            return cursor.fetchall() if cursor.description else []

    def read(self) -> dict[bytes, Any] | None:
        """Return every user's row, the id's column first; None while the table is not there."""
        try:
            rows = [json.loads(row, parse_float=Decimal) for row in self._rows()]
        except psycopg.errors.UndefinedTable:
            return None
        return {next(iter(row.values())).encode(): row for row in rows}

    def _rows(self) -> list[str]:
        return [row for (row,) in self.run("SELECT row_to_json(t)::text FROM {} AS t")]

    def expect(self, body: bytes, shape: Shape = BUILT_IN_SHAPE) -> Any:  # noqa: ANN401 - JSON
        """Return what the row of a record must be."""
        record = json.loads(body, parse_float=Decimal)
        return {column.name: _to_value(record.get(column.key), column.type) for column in to_columns(shape)}

    def refused(self) -> dict[bytes, str]:
        """Return the users that the store names as missing, each with the reason."""
        return dict(self.run("SELECT user_key, reason FROM {}_refused WHERE copy = 'live'"))

    @contextmanager
    def full(self) -> Iterator[None]:
        """Have every row be refused as a full disk does, within the context."""
        self.run(
            "CREATE FUNCTION {0}_full() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
        )
        self.run("CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {0} FOR EACH ROW EXECUTE FUNCTION {0}_full()")
        yield
        self.run("DROP FUNCTION {0}_full() CASCADE")

    def back_up(self) -> None:
        """Keep what is there now."""
        self.run("CREATE TABLE {0}_rows AS SELECT * FROM {0}")
        self.run("CREATE TABLE {0}_states AS SELECT * FROM {0}_sink")

    def restore(self) -> None:
        """Put what was kept back, as restoring a backup does."""
        self.run(
            "DO $$ BEGIN DELETE FROM {0}; INSERT INTO {0} SELECT * FROM {0}_rows; DELETE FROM {0}_sink;"
            " INSERT INTO {0}_sink SELECT * FROM {0}_states; END $$"
        )

    def log_writes(self) -> None:
        """Have the server log every row that is written, in the transaction that writes it."""
        self.run("CREATE TABLE {0}_log (number bigint)")
        self.run(
            "CREATE FUNCTION {0}_note() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO {0}_log VALUES (NEW.tweet_count); RETURN NEW; END $$"
        )
        self.run("CREATE TRIGGER note AFTER INSERT OR UPDATE ON {0} FOR EACH ROW EXECUTE FUNCTION {0}_note()")

    def count_writes(self) -> tuple[int, int]:
        """Return how many rows were written, and of how many records."""
        ((written, distinct),) = self.run("SELECT count(*), count(DISTINCT number) FROM {0}_log")
        return written, distinct

    def clean(self) -> None:
        """Drop all of it."""
        for suffix in ("", "_next", "_sink", "_refused", "_rows", "_states", "_log"):
            self.run(f"DROP TABLE IF EXISTS {{}}{suffix} CASCADE")
        for suffix in ("_full", "_note"):
            self.run(f"DROP FUNCTION IF EXISTS {{}}{suffix}() CASCADE")


def _to_value(value: object, type_: str) -> object:
    return Decimal(str(value)) if type_ == "numeric" and value is not None else value


class RedisKeys:
    """Keys as programs read them, and as a sink is told of them.

    Args:
        port: of the server.
        form: what is under a key.
    """

    kind = "redis"

    def __init__(self, port: int, form: str = "hash") -> None:
        self.form = form
        self.url = f"redis://127.0.0.1:{port}/0"
        self.client: Any = redis.Redis.from_url(self.url)
        self._kept: dict[bytes, bytes] = {}

    @property
    def settings(self) -> dict[str, str]:
        """What a sink is told."""
        return {"SINK_REDIS_URL": self.url, "SINK_REDIS_PREFIX": PREFIX, "SINK_REDIS_FORM": self.form}

    def read(self) -> dict[bytes, Any] | None:
        """Return what is under every user's key; None where there is none."""
        keys = list(self.client.scan_iter(match=f"{PREFIX}*", count=5_000))
        with self.client.pipeline(transaction=True) as pipe:
            for key in keys:
                pipe.hgetall(key) if self.form == "hash" else pipe.get(key)
            found = pipe.execute()
        skip = len(PREFIX)
        return {key[skip:]: value for key, value in zip(keys, found, strict=True)} or None

    def expect(self, body: bytes, _: Shape = BUILT_IN_SHAPE) -> Any:  # noqa: ANN401 - bytes, or fields
        """Return what must be under the key of a record."""
        if self.form == "string":
            return body
        return {key.encode(): text.encode() for key, text in split_record(body).items() if text is not None}

    def answers(self) -> bool:
        """Return whether the server answers."""
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def refused(self) -> dict[bytes, str]:
        """Return the users that the store names as missing, each with the reason."""
        found = self.client.hgetall(f"sink:{PREFIX}refused:live")
        return {key: reason.decode() for key, reason in found.items()}

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave the server no memory, within the context."""
        self.client.config_set("maxmemory", 1)
        yield
        self.client.config_set("maxmemory", 0)

    def back_up(self) -> None:
        """Keep what is there now."""
        self._kept = {key: self.client.dump(key) for key in self.client.scan_iter() if not key.endswith(b"owner")}

    def restore(self) -> None:
        """Put what was kept back, as a server does that had not yet written the rest to its disk."""
        with self.client.pipeline(transaction=True) as pipe:
            pipe.flushall()
            for key, value in self._kept.items():
                pipe.restore(key, 0, value)
            pipe.execute()

    def clean(self) -> None:
        """Delete all of it."""
        self.client.flushall()


Target = PostgresTable | RedisKeys


def redis_command(folder: Path, port: int) -> Command:
    """Return what runs a Redis in a folder of its own; killed, it keeps what it has acknowledged."""
    (folder / "redis").mkdir()
    return valkey_command(folder / "redis", port, "--appendonly", "yes", "--appendfsync", "no")


@contextmanager
def both_sinks(settings: Mapping[str, str], dsn: str, folder: Path) -> Iterator[list[Target]]:
    """Run a sink to PostgreSQL and one to a Redis of their own; give the stores once both are ready.

    Args:
        settings: where Kafka is, and what the topic is called.
        dsn: where PostgreSQL is.
        folder: for logs, and the Redis.
    """
    port = free_port()
    targets: list[Target] = [PostgresTable(dsn, "user_information"), RedisKeys(port)]
    server = redis_command(folder, port)
    server.start(RedisKeys(port).answers)
    sinks = [Sink(each.kind, {**settings, **each.settings}, folder / f"sink-{each.kind}.log") for each in targets]
    try:
        for sink in sinks:
            sink.start()
        for sink in sinks:
            sink.await_state("ready", 120)
        yield targets
    finally:
        for sink in sinks:
            sink.kill()
        server.stop()
        targets[0].clean()


class Servers:
    """A PostgreSQL and a Redis on free ports, which keep what they have acknowledged when they are killed.

    Args:
        folder: for their data and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.postgres = Postgres(folder / "postgres", durable=False)
        self.redis_port = free_port()
        self._redis = redis_command(folder, self.redis_port)

    def kill(self, target: Target) -> None:
        """Kill a store's server, and start it again after a moment."""
        command = self.postgres.command if isinstance(target, PostgresTable) else self._redis
        process = command.find_process()
        assert process is not None
        children = process.children()
        command.stop(signal.SIGKILL)
        psutil.wait_procs(children, 10)
        self._start(target)

    def _start(self, target: Target) -> None:
        if isinstance(target, PostgresTable):
            self.postgres.start()
        else:
            self._redis.start(target.answers)

    def __enter__(self) -> Self:
        """Start both."""
        self.postgres.start()
        self._redis.start(RedisKeys(self.redis_port).answers)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop both."""
        self.postgres.stop()
        self._redis.stop()


def record(user: str, tweets: int = 0, **values: object) -> bytes:
    """Return the bytes of a record of the built-in view."""
    filled = {"userId": user, "username": f"name of {user}", "tweetCount": tweets, **values}
    counts = set(BUILT_IN_SHAPE.counts)
    whole = {key: filled.get(key, 0 if key in counts else None) for key in BUILT_IN_SHAPE.keys}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def await_equal(target: Target, topic: Callable[[], Mapping[bytes, bytes]], seconds: float = 60.0) -> None:
    """Wait until a store holds exactly what a topic's newest records say.

    Args:
        target: the store.
        topic: returns key -> body.
        seconds: for how long.
    """

    def equal() -> bool:
        expected = {key: target.expect(body) for key, body in topic().items()}
        return (target.read() or {}) == expected

    wait_for(equal, seconds, "the store equal to the topic")
