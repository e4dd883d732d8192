"""Capture by polling: whoever writes, however late they commit, whatever is killed, the answers are SQL's."""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import psutil
import psycopg
import pytest
from confluent_kafka import KafkaException

from poller.publisher import Publisher
from shared.view.sql import to_sql
from stack.examples import find_example
from stack.servers.postgres import Postgres
from stack.traffic import keep_changing
from tests.support.joiners import Joiner
from tests.support.pipelines import Servers
from tests.support.pollers import Polled
from tests.support.readers import Reader
from tests.support.service import Service
from tests.support.waiting import wait_for

pytestmark = pytest.mark.end_to_end

IDS = 60
WRITERS = 6


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """Give a PostgreSQL that these tests may kill."""
    with (
        TemporaryDirectory(prefix="user-information-service-") as name,
        nullcontext(Path(name)) as folder,
        Postgres(folder / "postgres", durable=False) as started,
    ):
        yield started


@pytest.fixture
def served(servers: Servers, postgres: Postgres, tmp_path: Path) -> Iterator[tuple[Polled, Service]]:
    """Give polled tables, and the service that answers from them."""
    polled = Polled(servers.kafka.bootstrap_servers, postgres, tmp_path, "polled", rows=40)
    polled.run("ALTER TABLE users ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now()")
    with ExitStack() as opened:
        opened.enter_context(polled.poller)
        polled.poller.wait_until_ready()
        joiner = opened.enter_context(Joiner(polled.settings, tmp_path / "joiner"))
        reader = opened.enter_context(Reader(polled.settings, tmp_path / "reader"))
        joiner.wait_until_ready()
        reader.wait_until_ready()
        yield polled, Service(polled.dsn, postgres.port, servers.kafka.bootstrap_servers, joiner.port, reader.port)


class PollerByTime:
    """The poller that people write first: rows changed later than the last one seen, by `updated_at` and id."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._last: tuple[datetime, int] = (datetime.min.replace(tzinfo=UTC), 0)
        self.seen: set[int] = set()

    def poll(self) -> None:
        """Read what is new."""
        query = "SELECT updated_at, user_id FROM users WHERE (updated_at, user_id) > (%s, %s) ORDER BY 1, 2"
        with psycopg.connect(self._dsn) as connection:
            for updated_at, user_id in connection.execute(query, self._last):
                self._last = (updated_at, user_id)
                self.seen.add(user_id)


def write_until(stopping: Event, dsn: str, seed: int) -> int:
    """Insert, change, move, delete, insert again, in transactions that end late or not at all; return how many did."""
    chance, committed = random.Random(seed), 0
    while not stopping.is_set():
        try:
            with psycopg.connect(dsn, connect_timeout=5) as connection:
                while not stopping.is_set():
                    for _ in range(chance.randint(1, 4)):
                        connection.execute(make_change(chance).encode())
                    if chance.random() < 0.2:
                        time.sleep(chance.uniform(0.1, 0.8))
                    if chance.random() < 0.25:
                        connection.rollback()
                    else:
                        connection.commit()
                        committed += 1
        except psycopg.Error:
            time.sleep(0.1)  # killed, or a deadlock
    return committed


def make_change(chance: random.Random) -> str:
    """Return one statement; keys are few, so that rows are often deleted and inserted again."""
    user, other, row = chance.randint(1, IDS), chance.randint(1, IDS), chance.randint(1, 5 * IDS)
    return chance.choice(
        (
            f"INSERT INTO users (user_id, username) VALUES ({user}, 'user') ON CONFLICT (user_id) DO UPDATE"
            f" SET name = 'name {row}', updated_at = now()",
            f"DELETE FROM users WHERE user_id = {user}",
            f"INSERT INTO likes (like_id, user_id, tweet_id) VALUES ({row}, {user}, 1) ON CONFLICT (like_id) DO UPDATE"
            f" SET user_id = {other}",
            f"DELETE FROM likes WHERE like_id = {row}",
            f"INSERT INTO follows (follow_id, follower_id, followee_id) VALUES ({row}, {user}, {other})"
            f" ON CONFLICT (follow_id) DO UPDATE SET followee_id = {user}",
            f"DELETE FROM follows WHERE follow_id = {row}",
            f"UPDATE tweets SET user_id = {user}, text = text || '!' WHERE tweet_id = {row}",
        )
    )


def kill(postgres: Postgres) -> None:
    """End PostgreSQL with all its processes as the system does when memory runs out, and start it again."""
    process = postgres.command.find_process()
    assert process is not None
    process.suspend()  # it starts no more of them meanwhile
    family = [process, *process.children(recursive=True)]
    for each in family:
        try:
            os.kill(each.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    psutil.wait_procs(family, 30)
    postgres.command.stop()
    postgres.start()


def test_late_commits_rollbacks_and_kills_lose_nothing(served: tuple[Polled, Service], postgres: Postgres) -> None:
    """Six writers at once, the poller and PostgreSQL killed in between: every user is answered as SQL says."""
    polled, service = served

    # 1. A transaction begins, another one commits, then the first one: a poller by time has passed it by.
    naive = PollerByTime(polled.dsn)
    naive.poll()
    with psycopg.connect(polled.dsn) as slow:
        slow.execute("INSERT INTO users (user_id, username) VALUES (1001, 'late')")
        polled.run("INSERT INTO users (user_id, username) VALUES (1002, 'early')")
        naive.poll()
        slow.commit()
    naive.poll()
    assert (True, False) == (1002 in naive.seen, 1001 in naive.seen)
    service.await_answer(1001, username="late")
    service.await_answer(1002, username="early")

    # 2. Many such, with both ends killed.
    stopping = Event()
    with ThreadPoolExecutor(WRITERS) as executor:
        writing = [executor.submit(write_until, stopping, polled.dsn, number) for number in range(WRITERS)]
        try:
            for _ in range(2):
                time.sleep(2)
                polled.poller.kill()
                time.sleep(0.5)
                polled.poller.start_and_wait()
                time.sleep(2)
                kill(postgres)
            time.sleep(1)
        finally:
            stopping.set()
        assert all(each.result() for each in writing)

    # 3. What is there is answered as SQL says, what is not is not there.
    everyone = dict.fromkeys(map(str, range(1, 1003)))
    service.await_answers({**everyone, **service.truth()}, 120)
    assert {} == polled.topics.latest("user-info-dead-letters")
    assert 0 == polled.poller.stop(), polled.poller.log()
    assert "Traceback" not in polled.poller.log()


def keys_of(polled: Polled, table: str) -> list[int]:
    """Return the ids that a topic holds."""
    return sorted(next(iter(json.loads(key).values())) for key in polled.topics.latest(table))


def test_a_lost_state_costs_no_deletion(servers: Servers, postgres: Postgres, tmp_path: Path) -> None:
    """The topics tell which keys there were; what another program writes into them does not last."""
    polled = Polled(servers.kafka.bootstrap_servers, postgres, tmp_path, "lost", rows=10)
    with polled.poller as poller:
        poller.wait_until_ready()
        assert list(range(1, 11)) == keys_of(polled, "users")
        assert 0 == poller.stop()

        # 1. Two rows are deleted while the poller is away, and its folder is lost.
        polled.run(
            "DELETE FROM users WHERE user_id IN (3, 4)", "INSERT INTO users (user_id, username) VALUES (4, 'new')"
        )
        shutil.rmtree(poller.environment["POLLER_STATE_DIR"])
        poller.start_and_wait()
        wait_for(lambda: 3 not in keys_of(polled, "users"), 60, "the deletion")
        assert [1, 2, 4, 5, 6, 7, 8, 9, 10] == keys_of(polled, "users")
        assert b'"new"' in polled.topics.latest("users")[b'{"user_id":4}']

        # 2. Its state there, it goes on where it was: nothing is sent again.
        assert 0 == poller.stop()
        before = len(polled.topics.messages("users"))
        poller.start_and_wait()
        assert before == len(polled.topics.messages("users"))

        # 3. Another program's rows: the right ones follow.
        assert 0 == poller.stop()
        first = b'{"user_id":1}'
        (partition, *_) = (each.partition() for each in polled.topics.messages("users") if each.key() == first)
        assert partition is not None
        polled.topics.send("users", first, b'{"user_id":1,"username":"wrong"}', partition)
        polled.topics.write("users", b'{"user_id":99}', b'{"user_id":99,"username":"wrong"}')
        poller.start_and_wait()
        wait_for(lambda: 99 not in keys_of(polled, "users"), 60, "the row that no table has")
        assert b"wrong" not in polled.topics.latest("users")[first]

        # 4. Rows that only count as deleted, a key that changes, TRUNCATE, a new column with a value for old rows.
        assert 0 == poller.stop()
        poller.environment["POLLER_DELETED_WHERE"] = '{"users": "location = \'gone\'"}'
        polled.run(
            "UPDATE users SET location = 'gone' WHERE user_id = 5", "UPDATE users SET user_id = 50 WHERE user_id = 6"
        )
        polled.run("TRUNCATE likes", "ALTER TABLE users ADD COLUMN tier text NOT NULL DEFAULT 'free'")
        poller.start_and_wait()
        wait_for(lambda: keys_of(polled, "users") == [1, 2, 4, 7, 8, 9, 10, 50], 60, "the keys of the table")
        wait_for(lambda: keys_of(polled, "likes") == [], 60, "no likes")
        assert b'"tier":"free"' in polled.topics.latest("users")[b'{"user_id":1}']


def test_what_would_pass_rows_by_is_refused_by_name(servers: Servers, postgres: Postgres, tmp_path: Path) -> None:
    """No trigger, rows of another database, a second poller on another host, another database."""
    polled = Polled(servers.kafka.bootstrap_servers, postgres, tmp_path, "refused")
    poller = polled.poller

    def refused(said: str) -> None:
        with poller:
            assert 1 == poller.wait(60), poller.log()
        assert said in poller.log(), poller.log()

    polled.run("ALTER TABLE likes DISABLE TRIGGER ALL", "ALTER TABLE likes ENABLE TRIGGER ALL")
    refused("rows that are written into likes do not get their transaction into poller_tx")
    polled.run("ALTER TABLE likes ENABLE ALWAYS TRIGGER poller_tx", "DROP INDEX likes_poller_tx")
    refused("the table likes has no valid index of poller_tx, like_id")
    polled.run("CREATE INDEX ON likes (poller_tx, like_id)", "ALTER TABLE users DISABLE TRIGGER poller_tx")
    polled.run("INSERT INTO users (user_id, poller_tx) VALUES (1, '9999999999')")
    polled.run("ALTER TABLE users ENABLE ALWAYS TRIGGER poller_tx")
    refused("the table users holds rows of transactions that this database has not begun")
    polled.run("UPDATE users SET poller_tx = '0'")
    with poller:
        poller.wait_until_ready()
        second = poller.elsewhere()
        with second:
            assert 1 == second.wait(60), second.log()
        assert "another poller of this POLLER_NAME polls the database" in second.log()
        assert 0 == poller.stop()
    other = Polled(servers.kafka.bootstrap_servers, postgres, tmp_path, "other")
    poller.environment["POLLER_POSTGRES_DSN"] = other.dsn
    refused("POLLER_STATE_DIR belongs to the database")


def test_one_that_was_paused_cannot_write_old_rows(servers: Servers) -> None:
    """Once another poller of the name has begun, what the first one has under way comes to nothing."""
    client = {"bootstrap.servers": servers.kafka.bootstrap_servers}
    first = Publisher(client, "paused", "a")
    second = Publisher(client, "paused", "b")
    first.send("heartbeats", b"paused", b"old", 1_000)
    with pytest.raises(KafkaException):
        first.commit()
    second.send("heartbeats", b"paused", b"new", 2_000)
    assert second.commit()


def test_the_shop_is_polled_as_it_is_captured(servers: Servers, postgres: Postgres, tmp_path: Path) -> None:
    """Keys of two columns, UUIDs, decimals, days, timestamps: the records are the view's SQL."""
    shop = find_example("shop")
    polled = Polled(servers.kafka.bootstrap_servers, postgres, tmp_path, "polledshop", example=shop, rows=40)
    with polled.poller as poller, Joiner(polled.settings, tmp_path / "joiner") as joiner:
        poller.wait_until_ready()
        joiner.wait_until_ready()
        keep_changing(polled.dsn, 300, 1, print, changes=shop.changes)
        statement = f"SELECT to_json(record) FROM ({to_sql(shop.view, 'postgresql')}) AS record"
        truth = {record["customerId"]: record for (record,) in polled.ask(statement) if isinstance(record, dict)}

        def records() -> dict[str, object]:
            return {key.decode(): json.loads(value) for key, value in polled.topics.latest("user-info").items()}

        assert truth
        wait_for(lambda: records() == truth, 60, "every customer as SQL says")
        assert {} == polled.topics.latest("user-info-dead-letters")
