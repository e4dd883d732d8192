"""Capture by polling: whoever writes, however late they commit, whatever is killed, the answers are SQL's."""

import json
import os
import random
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
