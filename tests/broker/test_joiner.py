"""The joiner on a real Kafka: what it writes equals what SQL would say, for any input and any crash."""

import json
import random
import re
import signal
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from joiner.kafka.offsets import read_extents
from stack.servers.ports import free_port
from tests.support.joiners import Joiner, Joiners
from tests.support.topics import Topics, compact, headers_of
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker


def test_counts_follow_rows_through_insert_move_and_delete(joiners: Joiners) -> None:
    """Each row's change reaches its owners' records, in the bytes that the reader will serve."""
    topics = joiners.topics
    topics.create_sources()
    joiners.start()

    # 1. Alice and Bob exist; Bob follows Alice, Alice tweets, and likes her own tweet.
    topics.put("users", user_id=1, username="alice", name="Alice 爱丽丝")
    topics.put("users", user_id="2", username="bob")
    topics.put("follows", follow_id=7, follower_id=2, followee_id="1")
    topics.put("tweets", tweet_id=70, text="hello", user_id=1)
    topics.put("likes", like_id=700, user_id=1, tweet_id=70)
    joiners.await_truth()
    alice = compact(topics.messages("user-info"))[b"1"]
    assert (
        '{"userId":"1","username":"alice","name":"Alice 爱丽丝","description":null,"location":null,'
        '"webPageUrl":null,"joinedDate":null,"profileImageUrl":null,"backgroundImageUrl":null,'
        '"tweetCount":1,"followingCount":0,"followerCount":1,"likeCount":1}'
    ).encode() == alice

    # 2. The tweet moves to Bob, the follow goes, and goes again as Debezium's second message does.
    topics.put("tweets", tweet_id=70, text="hello", user_id=2)
    topics.delete("follows", 7)
    topics.delete("follows", 7)
    joiners.await_truth()

    # 3. Alice goes: no record is left of her; her like is kept for when she returns.
    topics.delete("users", 1)
    joiners.await_truth()
    assert b"1" not in compact(topics.messages("user-info"))
    topics.put("users", user_id=1, username="alice")
    joiners.await_truth()
    assert 1 == topics.user_info()["1"]["likeCount"]


def test_records_carry_source_times_and_the_documented_partition(joiners: Joiners) -> None:
    """A record's time is that of its newest change, its header that of the oldest it shows; CRC-32 places it."""
    topics = joiners.topics
    topics.create_sources()
    joiners.start(USER_INFO_PARTITIONS="5").wait_until_said("the build is complete")
    for like, milliseconds in ((1, 1_700_000_003_000), (2, 1_700_000_001_000)):
        after = {"like_id": like, "user_id": "zoë", "tweet_id": 1}
        envelope = {"before": None, "after": after, "op": "c", "source": {"ts_ms": milliseconds}}
        topics.send("likes", str(like).encode(), json.dumps(envelope).encode())
    user = {"before": None, "after": {"user_id": "zoë"}, "op": "c", "source": {"ts_ms": 1_700_000_002_000}}
    topics.send("users", "zoë".encode(), json.dumps(user).encode())
    topics.flush()

    def complete() -> bool:
        return topics.user_info().get("zoë", {}).get("likeCount") == 2

    wait_for(complete, 30, "both likes counted")
    last = [message for message in topics.messages("user-info") if message.key() == "zoë".encode()][-1]
    assert 1_700_000_003_000 == last.timestamp()[1]
    shown = [headers_of(message).get("oldest-change-ms") for message in topics.messages("user-info")]
    assert b"1700000001000" in shown
    import zlib  # noqa: PLC0415 - the point is that a router needs nothing else

    assert last.partition() == zlib.crc32("zoë".encode()) % 5


POISON = [
    (b"1", b"{", "bad-json"),
    (b"1", b"", "bad-json"),
    (b"1", b"\xff\xfe", "bad-json"),
    (b"1", b"[1, 2]", "bad-shape"),
    (b"1", b"null", "bad-shape"),
    (b"1", b'{"username": "nobody"}', "missing-column"),
    (b"1", b'{"user_id": null}', "null-id"),
    (b"1", b'{"user_id": 1.5}', "bad-id"),
    (b"x" * 512, b'{"user_id": "x"}', "bad-id"),
    (b"\xff\xfe", b'{"user_id": "x"}', "bad-key"),
    (b"2", b'{"user_id": 1}', "key-mismatch"),
    (b"1", b'{"op": "q", "before": null, "after": {"user_id": 1}}', "unknown-op"),
    (b"1", b'{"user_id": 1, "name": {"first": "A"}}', "not-text"),
]


def test_poison_goes_to_the_dead_letters_and_stops_nothing(joiners: Joiners) -> None:
    """Every kind of bad input lands in the dead letters as received, says why and from where, and changes nothing."""
    topics = joiners.topics
    topics.create("users", partitions=1, cleanup_policy="delete")
    topics.create("tweets", "follows", "likes")
    joiners.start()
    topics.put("users", user_id=1, username="alice", description="d" * 1024 * 1024)
    topics.put("users", user_id=3, username=12345678901234567890123, name=True)
    for key, value, _ in POISON:
        topics.send("users", key, value)
    topics.send("users", None, b'{"user_id": 1}')
    topics.put("users", user_id=2, username="bob")
    joiners.await_truth()
    letters = wait_for(
        lambda: letters if len(letters := topics.messages("user-info-dead-letters")) == len(POISON) + 1 else [],
        what="all dead letters",
    )
    told = [(letter.key(), letter.value(), headers_of(letter)["reason"].decode()) for letter in letters]
    assert [*POISON, (None, b'{"user_id": 1}', "null-key")] == told
    first = headers_of(letters[0])
    assert first["topic"] == topics.name("users").encode()
    assert (b"0", b"2") == (first["partition"], first["offset"])
    bodies = {key: json.loads(value) for key, value in compact(topics.messages("user-info")).items()}
    assert 1024 * 1024 == len(bodies[b"1"]["description"])
    assert ("12345678901234567890123", "true") == (bodies[b"3"]["username"], bodies[b"3"]["name"])
    assert 0 == joiners.programs[0].stop()


def test_two_joiners_killed_in_mid_load_lose_and_double_nothing(joiners: Joiners) -> None:
    """SIGKILL of either joiner, again and again under load, and every count still equals the truth."""
    topics = joiners.topics
    topics.create_sources(partitions=4)
    chance = random.Random(7)
    both = [joiners.start(), joiners.start()]
    for user in range(200):
        topics.put("users", user_id=user, username=f"user{user}")
    for victim in (0, 1, 0, 1):
        both[victim].wait_until_ready()
        for number in range(3_000):
            change(topics, chance, number)
        topics.flush()
        both[victim].kill()
        both[victim].start()
    joiners.await_truth(90)


def change(topics: Topics, chance: random.Random, number: int) -> None:
    """Write one change: mostly new likes and follows, some rows moved, some deleted."""
    kind = chance.random()
    like, follow = chance.randrange(2_000), chance.randrange(2_000)
    if kind < 0.5:
        topics.put("likes", like_id=like, user_id=chance.randrange(200), tweet_id=number)
    elif kind < 0.8:
        topics.put("follows", follow_id=follow, follower_id=chance.randrange(200), followee_id=chance.randrange(220))
    elif kind < 0.9:
        topics.delete("likes", like)
    else:
        topics.delete("follows", follow)


def test_work_moves_to_a_second_joiner_and_back(joiners: Joiners) -> None:
    """A joiner that joins and leaves takes state with it in the changelogs; counts continue from where they were."""
    topics = joiners.topics
    topics.create_sources(partitions=4)
    first = joiners.start()
    for user in range(50):
        topics.put("users", user_id=user)
        topics.put("likes", like_id=user, user_id=user, tweet_id=1)
    joiners.await_truth()
    second = joiners.start()
    for user in range(50):
        topics.put("likes", like_id=100 + user, user_id=user, tweet_id=2)
    joiners.await_truth()
    assert re.search(r"assigned [1-9]\d* partitions", second.log())
    assert 0 == second.stop()
    for user in range(50):
        topics.delete("likes", user)
    joiners.await_truth()
    assert 0 == first.stop()


def test_state_lost_with_its_disk_comes_back_from_the_changelogs(joiners: Joiners) -> None:
    """A joiner whose folder is gone rebuilds its state from Kafka, and a redelivered row still counts once."""
    topics = joiners.topics
    topics.create_sources()
    first = joiners.start()
    topics.put("users", user_id=1)
    for like in range(20):
        topics.put("likes", like_id=like, user_id=1, tweet_id=like)
    joiners.await_truth()
    assert 0 == first.stop()
    state = Path(first.environment["JOINER_STATE_DIR"])
    state.rename(state.with_name("lost"))
    first.start()
    for like in range(20):
        topics.put("likes", like_id=like, user_id=1, tweet_id=like)
    topics.delete("likes", 0)
    joiners.await_truth()


def test_a_source_that_does_not_exist_is_awaited_and_then_named(joiners: Joiners) -> None:
    """A missing source topic is never created: the joiner says so while it waits, and fails by its name."""
    topics = joiners.topics
    topics.create("users", "tweets", "follows")
    joiner = joiners.add(JOINER_WAIT_FOR_TOPICS_SECONDS="3").start()
    joiner.wait_until_said(f"waiting: the source topics {topics.name('likes')} (LIKES_TOPIC) do not exist")
    assert 1 == joiner.wait()
    assert f"Error: the source topics {topics.name('likes')} (LIKES_TOPIC) do not exist" in joiner.log()
    assert topics.name("likes") not in topics.admin.list_topics(timeout=10).topics


def test_a_source_that_appears_while_it_is_awaited_is_taken(joiners: Joiners) -> None:
    """The joiner continues by itself once the connector has made its topics, empty ones included."""
    topics = joiners.topics
    topics.create("users", "tweets", "follows")
    joiner = joiners.add().start()
    joiner.wait_until_said("waiting:")
    topics.create("likes")
    topics.put("users", user_id="solo")
    joiners.await_truth()


@pytest.mark.parametrize(
    ("topic", "policy", "said"),
    [
        ("user-info", "delete", "(USER_INFO_TOPIC) has cleanup.policy=delete: users that nothing changes are lost"),
        ("user-info-changes", "compact", "(USER_INFO_CHANGES_TOPIC) may lose changes before they are read"),
    ],
)
def test_a_topic_that_would_lose_data_is_refused_by_name(joiners: Joiners, topic: str, policy: str, said: str) -> None:
    """The joiner does not start on topics whose policy forgets records or differences."""
    topics = joiners.topics
    topics.create_sources()
    topics.create(topic, cleanup_policy=policy)
    joiner = joiners.add().start()
    assert 1 == joiner.wait()
    assert f"Error: the topic {topics.name(topic)} {said}" in joiner.log()


def test_kafka_out_of_reach_is_one_clear_line(tmp_path: Path) -> None:
    """No broker at the address: the joiner says which setting to look at, and gives up in the time that was set."""
    nowhere = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}
    own = {"JOINER_WAIT_FOR_TOPICS_SECONDS": "1", "JOINER_HTTP_PORT": "0"}
    with Joiner(nowhere, tmp_path / "state", **own) as joiner:
        assert 1 == joiner.wait(60)
        assert "(KAFKA_BOOTSTRAP_SERVERS)" in joiner.log()
        assert "Traceback" not in joiner.log()


def test_a_second_joiner_on_the_same_folder_id_or_port_is_refused_by_name(joiners: Joiners) -> None:
    """Two processes never share what must be one process's own."""
    topics = joiners.topics
    topics.create_sources()
    first = joiners.start()
    mine = first.environment
    for taken, said in (
        ({"JOINER_STATE_DIR": mine["JOINER_STATE_DIR"]}, f"is in use by the process {first.pid}"),
        ({"JOINER_INSTANCE_ID": "0"}, f"JOINER_INSTANCE_ID=0 of {topics.prefix}joiner is in use by the process"),
        ({"JOINER_HTTP_PORT": mine["JOINER_HTTP_PORT"]}, f"JOINER_HTTP_PORT={mine['JOINER_HTTP_PORT']}"),
    ):
        second = joiners.add(**taken).start()
        assert 1 == second.wait()
        assert said in second.log()
    assert first.running


def test_a_joiner_paused_past_its_session_ends_without_committing(joiners: Joiners) -> None:
    """A zombie commits nothing: its work was taken over, it says so and ends, and the counts are right."""
    topics = joiners.topics
    topics.create_sources()
    zombie = joiners.start()
    topics.put("users", user_id=1)
    joiners.await_truth()
    # It has rows in hand when it is stopped.
    for like in range(2_000):
        topics.put("likes", like_id=like, user_id=1, tweet_id=1)
    topics.flush()
    zombie.signal(signal.SIGSTOP)
    heir = joiners.start()
    for like in range(1_900, 2_100):
        topics.put("likes", like_id=like, user_id=1, tweet_id=1)
    joiners.await_truth()
    zombie.signal(signal.SIGCONT)
    assert 1 == zombie.wait(60)
    # Which of these it notices first depends on what it was doing when it was stopped.
    reasons = (
        r"\d+ partitions were lost to another joiner, since the group did not hear from this one for longer than .*",
        r"this joiner was paused for \d+ s, longer than its session, so other joiners may own its partitions",
        r"Kafka has shut this joiner out .*, or it was paused for too long",
    )
    said = f"^Error: ({'|'.join(reasons)}); it ends without committing\n  Try: start it again$"
    assert re.search(said, zombie.log(), re.MULTILINE)
    topics.put("likes", like_id=3_000, user_id=1, tweet_id=1)
    joiners.await_truth()
    assert heir.running


def test_metrics_say_what_was_read_and_written(joiners: Joiners) -> None:
    """Rows by table, records, dead letters by reason and lags are at /metrics."""
    topics = joiners.topics
    topics.create_sources()
    joiner = joiners.start()
    topics.put("users", user_id=1)
    for like in range(5):
        topics.put("likes", like_id=like, user_id=1, tweet_id=1)
    topics.send("tweets", b"1", b"{")
    joiners.await_truth()

    def metrics() -> str:
        return joiner.get("/metrics").text

    for line in (
        'joiner_rows_total{table="likes"} 5.0',
        'joiner_rows_total{table="tweets"} 1.0',
        'joiner_dead_letters_total{reason="bad-json"} 1.0',
        f'joiner_lag_records{{topic="{topics.name("likes")}"}} 0.0',
        f'joiner_lag_seconds{{topic="{topics.name("users")}"}} 0.0',
        "joiner_ready 1.0",
    ):
        wait_for(lambda line=line: line in metrics(), what=f"{line} in\n{metrics()}")  # type: ignore[misc]
    for name in (
        "joiner_user_info_records_total",
        "joiner_changes_total",
        "joiner_checkpoint_seconds_count",
        "joiner_rebalances_total",
        "joiner_state_bytes",
        "joiner_seconds_since_commit",
    ):
        assert f"\n{name} " in metrics()


def test_the_internal_topic_is_trimmed_as_it_is_consumed(joiners: Joiners) -> None:
    """What was applied and committed is deleted, markers of transactions included; no joiner reads it again."""
    topics = joiners.topics
    topics.create_sources()
    joiner = joiners.start(USER_INFO_PARTITIONS="1")
    for user in range(3):
        topics.put("users", user_id=user)
        joiners.await_truth()
    internal = topics.name("user-info-changes")
    places = [(internal, partition) for partition in topics.admin.list_topics(internal, 10).topics[internal].partitions]

    def is_trimmed() -> bool:
        held = read_extents(topics.admin, places).values()
        return any(extent.high for extent in held) and all(extent.low == extent.high for extent in held)

    wait_for(is_trimmed, 60, f"{internal} trimmed")

    # It continues from there, and where a joiner is killed before it has trimmed, the next one does.
    assert 0 == joiner.stop()
    joiner.start()
    asking = Consumer({"bootstrap.servers": topics.bootstrap_servers, "group.id": f"{topics.prefix}joiner"})

    def all_is_committed() -> bool:
        ends = read_extents(topics.admin, places)
        committed = asking.committed([TopicPartition(*place) for place in places], timeout=10)
        return all(max(each.offset, 0) == ends[each.topic, each.partition].high for each in committed)

    for user in range(3, 13):
        topics.put("users", user_id=user)
        joiners.await_truth()
        wait_for(all_is_committed, 30, f"markers of {internal} committed")
        joiner.kill()
        if not is_trimmed():
            break
        joiner.start()
    assert not is_trimmed()
    joiner.start()
    wait_for(is_trimmed, 60, f"{internal} trimmed by the next")
    asking.close()


def test_kafka_properties_of_the_environment_hold_in_the_join(joiners: Joiners) -> None:
    """Also one that the engine reckons with, and a limit on records that is larger than ours."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    joiner = joiners.start(KAFKA_MAX_POLL_INTERVAL_MS="600000", KAFKA_MESSAGE_MAX_BYTES="8000000")
    topics.put("users", user_id=1, username="alice")
    topics.put("likes", like_id=7, user_id=1, tweet_id=1)
    joiners.await_truth()
    assert 0 == joiner.stop()
