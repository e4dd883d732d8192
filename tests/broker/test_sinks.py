"""Sinks to PostgreSQL and Redis on a real Kafka: the store equals the topic, whatever is killed."""

import json
import os
import random
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from shared.builds import BuildMark
from shared.shape import SHAPE_KEY, FieldShape, Shape, SumShape
from shared.threads import BackgroundThread
from tests.support.sinks import PostgresTable, RedisKeys, Servers, Sink, Target, await_equal, record
from tests.support.topics import USER_INFO_PARTITIONS, Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

KINDS = ["postgres", "redis"]

KILLS = int(os.environ.get("SINK_KILLS", "2"))
"""How often the sink and the server are killed, each."""


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Give a PostgreSQL and a Redis."""
    with TemporaryDirectory(prefix="user-information-service-") as name, Servers(Path(name)) as made:
        yield made


@pytest.fixture
def target(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Target]:
    """Give a store of this test's own, of the kind that is asked for."""
    made: Target = (
        PostgresTable(servers.postgres.dsn, f"u{uuid.uuid4().hex[:8]}")
        if request.param == "postgres"
        else RedisKeys(servers.redis_port)
    )
    made.clean()
    yield made
    made.clean()


@pytest.fixture
def sinks(topics: Topics, target: Target, tmp_path: Path) -> Iterator[list[Sink]]:
    """Give two sinks to the same store, not started; those that run at the end are killed."""
    settings = {**topics.settings(), **target.settings}
    made = [Sink(target.kind, settings, tmp_path / f"sink-{number}.log") for number in range(2)]
    yield made
    for sink in made:
        sink.kill()
        print(sink.log()[-3_000:])  # noqa: T201 - shown where the test fails


@pytest.mark.parametrize("target", KINDS, indirect=True)
def test_a_store_becomes_the_topic_and_follows_it(topics: Topics, target: Target, sinks: list[Sink]) -> None:
    """Users come, change and go; a null is a null column, or a field that is not there."""
    for number in range(500):
        topics.send("user-info", str(number).encode(), record(str(number), number))
    topics.send("user-info", b"7", None)
    odd = "Zoë 🦉/%2F+ \"q\" \\ 'x'; --"
    topics.send("user-info", odd.encode(), record(odd, 1, name="two\nlines\t\\u0000", description=None))
    topics.flush()
    sinks[0].start().await_state("ready")
    await_equal(target, lambda: topics.latest("user-info"))
    topics.send("user-info", b"8", record("8", 9_999, username=None))
    topics.send("user-info", b"9", None)
    topics.flush()
    await_equal(target, lambda: topics.latest("user-info"))
    assert 0 == sinks[0].stop()


@pytest.mark.parametrize("target", KINDS, indirect=True)
def test_nothing_shows_before_the_first_build_is_whole(topics: Topics, target: Target, sinks: list[Sink]) -> None:
    """The joiner's marks decide, through a kill of the sink as well; an empty topic is no whole one either."""
    (sink, _) = sinks
    sink.start().await_state("building")
    assert target.read() is None
    mark(topics, whole=False)
    for number in range(50):
        topics.send("user-info", str(number).encode(), record(str(number), 1))
    topics.flush()
    wait_for(lambda: "has not finished" in str(sink.state().get("reason")), 60, "the build waited for")
    assert target.read() is None
    sink.kill()
    sink.start().await_state("building")
    assert target.read() is None
    for number in range(50):
        topics.send("user-info", str(number).encode(), record(str(number), 2))
    mark(topics, whole=True)
    sink.await_state("ready")
    assert {str(number).encode(): target.expect(record(str(number), 2)) for number in range(50)} == target.read()


def mark(topics: Topics, *, whole: bool) -> None:
    """Say in every partition how far a build is, as a joiner does."""
    for partition in range(USER_INFO_PARTITIONS):
        said = BuildMark(partition, USER_INFO_PARTITIONS, "b1", whole, None if whole else 40)
        topics.send("user-info", said.key, said.value, partition)
    topics.flush()


@pytest.mark.parametrize("target", KINDS, indirect=True)
def test_a_replaced_topic_is_built_beside_the_old_one(topics: Topics, target: Target, sinks: list[Sink]) -> None:
    """Programs see all of the old topic or all of the new one; what depends on the table stays."""
    old, new = ({str(user).encode(): record(str(user), 5) for user in users} for users in (range(40), range(20, 60)))
    for user, body in old.items():
        topics.send("user-info", user, body)
    topics.flush()
    sink = sinks[0].start()
    sink.await_state("ready")
    if isinstance(target, PostgresTable):
        target.run("CREATE VIEW {0}_names AS SELECT user_id, username FROM {0}")
    before, after = ({user: target.expect(body) for user, body in bodies.items()} for bodies in (old, new))
    topics.recreate("user-info", USER_INFO_PARTITIONS)
    mark(topics, whole=False)
    for user, body in new.items():
        topics.send("user-info", user, body)
    topics.flush()
    wait_for(lambda: "has not finished" in str(sink.state().get("reason")), 60, f"the new topic read: {sink.state()}")
    assert before == target.read()
    mark(topics, whole=True)

    def replaced() -> bool:
        shown = target.read()
        assert shown in (before, after)
        return shown == after

    wait_for(replaced, 60, "the new topic shown")
    if isinstance(target, PostgresTable):
        assert {user.decode() for user in new} == {user for (user,) in target.run("SELECT user_id FROM {}_names")}


@pytest.mark.parametrize("target", KINDS, indirect=True)
def test_a_sink_that_returns_while_another_writes_is_refused_by_name(
    topics: Topics, target: Target, sinks: list[Sink]
) -> None:
    """One that was paused, and lost its claim meanwhile, has written nothing since, and ends as a second one does."""
    first, second = sinks
    topics.write("user-info", b"1", record("1", 1))
    first.start().await_state("ready")
    first.signal(signal.SIGSTOP)
    if isinstance(target, PostgresTable):
        target.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'user-info-sink'")
    second.start().await_state("ready")
    first.signal(signal.SIGCONT)
    for number in range(10):
        topics.write("user-info", b"1", record("1", number))
    assert 1 == first.wait(60)
    assert "written by another sink" in first.log()
    assert f":{second.pid}:" in first.log()
    await_equal(target, lambda: topics.latest("user-info"))
    assert second.running


@pytest.mark.parametrize("target", KINDS, indirect=True)
def test_u0000_is_stored_exactly_or_named(topics: Topics, target: Target, sinks: list[Sink]) -> None:
    """PostgreSQL has no such text: the user's row goes, the user is named, and its next record is tried again."""
    nul = record("nul", 1, name="a\0b")
    for user, body in {b"nul": record("nul", 0), b"other": record("other", 0)}.items():
        topics.send("user-info", user, body)
    topics.send("user-info", b"elsewhere", record("somebody else", 0))
    topics.flush()
    sink = sinks[0].start()
    sink.await_state("ready")
    assert [b"elsewhere"] == list(target.refused())
    assert "its userId is not its key" in target.refused()[b"elsewhere"]
    topics.write("user-info", b"nul", nul)
    topics.write("user-info", b"other", record("other", 7))
    if isinstance(target, PostgresTable):
        wait_for(lambda: b"nul" in target.refused(), 60, "the user named")
        left = {b"other": target.expect(record("other", 7))}
        wait_for(lambda: left == target.read(), 60, "the other user, alone and changed")
        assert "u0000" in target.refused()[b"nul"]
        wait_for(lambda: sink.metric("sink_refused_users") == 2, 60, "both counted")
        assert "2 users cannot be stored" in str(sink.state()["reason"])
    else:
        wait_for(lambda: (target.read() or {}).get(b"nul") == target.expect(nul), 60, "U+0000 stored")
    for user in (b"nul", b"elsewhere"):
        topics.write("user-info", user, record(user.decode(), 2))
    await_equal(target, lambda: topics.latest("user-info"))
    wait_for(lambda: {} == target.refused() and sink.metric("sink_refused_users") == 0, 60, "nobody named")


@pytest.mark.parametrize("target", KINDS, indirect=True)
def test_a_full_store_is_waited_for_and_one_that_went_back_is_followed(
    topics: Topics, target: Target, sinks: list[Sink]
) -> None:
    """While it is full nothing is skipped; where it is older than it was, the sink goes on from what it says."""
    topics.write("user-info", b"1", record("1", 1))
    topics.write("user-info", b"2", record("2", 1))
    sink = sinks[0].start()
    sink.await_state("ready")
    with target.full():
        topics.write("user-info", b"1", record("1", 2))
        wait_for(lambda: "no room" in str(sink.state().get("reason")), 60, f"the reason: {sink.state()}")
        assert 503 == sink.get("/readyz").status_code
    await_equal(target, lambda: topics.latest("user-info"))
    target.back_up()
    topics.write("user-info", b"2", None)
    topics.write("user-info", b"3", record("3", 1))
    await_equal(target, lambda: topics.latest("user-info"))
    target.restore()
    assert {b"1", b"2"} == set(target.read() or {})
    topics.write("user-info", b"4", record("4", 1))
    await_equal(target, lambda: topics.latest("user-info"))
    sink.await_state("ready")


def shape(topics: Topics, said: Shape) -> None:
    """Say the shape in every partition, as a joiner does."""
    for partition in range(USER_INFO_PARTITIONS):
        topics.send("user-info", SHAPE_KEY, said.encode(), partition)
    topics.flush()


@pytest.mark.parametrize("target", ["postgres"], indirect=True)
def test_a_view_that_gains_a_key_gains_a_column(topics: Topics, target: PostgresTable, sinks: list[Sink]) -> None:
    """In place; where it loses one, or a type changes, another table is built beside, and takes its place."""
    small = Shape("shops", "shopId", (FieldShape("openSince", "date"),), ("orderCount",), ())
    extra = FieldShape("more", "json"), FieldShape("limit", "decimal", 2)
    large = replace(small, fields=(*small.fields, *extra), sums=(SumShape("spentCents"), SumShape("paid", 2)))
    changed = replace(large, fields=(FieldShape("more", "text"),))
    bodies = {
        "small": b'{"shopId":"s","openSince":"2001-01-02","orderCount":3}',
        "large": b'{"shopId":"l","openSince":null,"more":{"a":[1.50, "x"]},"limit":"12.50","orderCount":0,'
        b'"spentCents":123456789012345678901234567890,"paid":"0.10"}',
        "changed": b'{"shopId":"l","more":"text","orderCount":0,"spentCents":-1,"paid":"0.20"}',
    }
    shape(topics, small)
    topics.write("user-info", b"s", bodies["small"])
    sink = sinks[0].start()
    sink.await_state("ready")
    shape(topics, large)
    topics.write("user-info", b"l", bodies["large"])

    def rows() -> list[tuple[str, ...]]:
        return target.run("SELECT row_to_json(t)::text FROM {} AS t ORDER BY shop_id")

    nothing = '"more":null,"limit":null,"spent_cents":null,"paid":null'
    old = '{"shop_id":"s","open_since":"2001-01-02","order_count":3,' + nothing + "}"
    new = (
        '{"shop_id":"l","open_since":null,"order_count":0,"more":{"a":[1.50, "x"]},"limit":12.50,'
        '"spent_cents":123456789012345678901234567890,"paid":0.10}'
    )
    wait_for(lambda: [(new,), (old,)] == rows(), 60, "the new columns")
    shape(topics, changed)
    topics.write("user-info", b"l", bodies["changed"])
    topics.write("user-info", b"s", None)
    wait_for(lambda: '"more":"text"' in str(rows()), 60, f"the table replaced: {rows()}")
    (row,) = rows()
    assert {"shop_id": "l", "more": "text", "order_count": 0, "spent_cents": -1, "paid": 0.2} == json.loads(row[0])


@pytest.mark.parametrize("target", ["redis"], indirect=True)
def test_records_may_be_kept_as_their_bytes(topics: Topics, target: RedisKeys, sinks: list[Sink]) -> None:
    """SINK_REDIS_FORM=string; a sink of the other form is refused there."""
    target.form = "string"
    for sink in sinks[:1]:
        sink.environment["SINK_REDIS_FORM"] = "string"
    topics.write("user-info", b"1", b'{"userId": "1",  "any": [1.0]}')
    sinks[0].start().await_state("ready")
    assert {b"1": b'{"userId": "1",  "any": [1.0]}'} == target.read()
    assert 0 == sinks[0].stop()
    assert 1 == sinks[1].start().wait(60)
    assert "each a string, and SINK_REDIS_FORM is hash" in sinks[1].log()


@pytest.mark.parametrize("target", KINDS, indirect=True)
def test_what_others_have_made_is_not_touched(topics: Topics, target: Target, sinks: list[Sink]) -> None:
    """A table, or keys, that no sink has made end the sink, which names them."""
    if isinstance(target, PostgresTable):
        target.run("CREATE TABLE {} (id int)")
    else:
        target.client.set("user:1", "theirs")
    topics.write("user-info", b"1", record("1", 1))
    assert 1 == sinks[0].start().wait(60)
    assert "no sink has made" in sinks[0].log()


class Updates(BackgroundThread):
    """Writes records and deletions, some hundreds a second, each with a number of its own as a count."""

    def __init__(self, topics: Topics) -> None:
        super().__init__("updates")
        self._topics = topics
        self._chance = random.Random(3)
        self._number = 0

    def write(self) -> None:
        """Write one."""
        user = str(self._chance.randrange(2_000))
        self._number += 1
        value = None if self._chance.random() < 0.1 else record(user, self._number)
        self._topics.send("user-info", user.encode(), value)

    def _run(self) -> None:
        while not self.stopping.wait(0.02):
            for _ in range(10):
                self.write()


@pytest.mark.parametrize("target", KINDS, indirect=True)
def test_after_any_kill_the_store_is_the_topic_and_nothing_is_applied_twice(
    topics: Topics, target: Target, sinks: list[Sink], servers: Servers
) -> None:
    """Kills of the sink and of the store's server at random moments, while updates flow; SINK_KILLS says how many."""
    updates = Updates(topics)
    for _ in range(20_000):
        updates.write()
    topics.flush()
    sink = sinks[0].start()
    chance = random.Random(7)
    with updates:
        for number in range(KILLS):
            if number == 0 and isinstance(target, PostgresTable):
                sink.await_state("ready")
                target.log_writes()
            time.sleep(chance.uniform(0.0, 1.5))  # the moment is what is tried, not waited for
            sink.kill()
            sink.start()
            if number % 2:
                sink.await_state("ready")
            time.sleep(chance.uniform(0.0, 0.5))
            servers.kill(target)
            sink.await_state("ready")
    topics.flush()
    await_equal(target, lambda: topics.latest("user-info"))
    if isinstance(target, PostgresTable):
        written, distinct = target.count_writes()
        assert written == distinct > 0
