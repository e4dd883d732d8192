"""Heartbeats on a real Kafka: they reach every partition of user-info, and never overtake the data."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer

from shared.clock import now_ms
from shared.heartbeats import Heartbeat, parse_heartbeat
from tests.support.joiners import Joiners
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

SECOND = 1_000


def write_heartbeat(topics: Topics, time_ms: int) -> None:
    """Write a heartbeat as Debezium does, of a time at the source."""
    row = {"heartbeat_id": 1, "beat_at": "whenever"}
    envelope = {"before": None, "after": row, "op": "u", "source": {"ts_ms": time_ms}}
    topics.send("heartbeats", b'{"heartbeat_id": 1}', json.dumps(envelope).encode())
    topics.flush()


def heartbeats(topics: Topics) -> Iterator[tuple[int, Heartbeat]]:
    """Yield the heartbeats in user-info, each with its partition."""
    for message in topics.messages("user-info"):
        heartbeat = parse_heartbeat(message.key() or b"", message.value())
        if heartbeat is not None:
            yield message.partition() or 0, heartbeat


def newest_times(topics: Topics, partitions: int) -> list[int]:
    """Return the newest heartbeat's time of each partition of user-info; 0 where there is none."""
    newest = dict.fromkeys(range(partitions), 0)
    for partition, heartbeat in heartbeats(topics):
        newest[partition] = max(newest[partition], heartbeat.time_ms)
    return list(newest.values())


def ago_ms(seconds: float) -> int:
    """Return a time so many seconds ago, epoch ms."""
    return now_ms() - round(seconds * SECOND)


def end_build(topics: Topics) -> None:
    """Have old heartbeats of a connector tell the joiners that the sources are whole, until the build is over."""

    def is_over() -> bool:
        write_heartbeat(topics, ago_ms(7200))
        return topics.user_info() == topics.truth()

    topics.flush()
    wait_for(is_over, 60, "the build over")


def test_two_joiners_pass_a_heartbeat_on_to_every_partition(joiners: Joiners) -> None:
    """Each owns some of the partitions only, nothing else happens, and all partitions come to one time."""
    topics = joiners.topics
    topics.create_sources(partitions=3)
    topics.create("heartbeats", partitions=1)
    settings = {"HEARTBEATS_TOPIC": topics.name("heartbeats"), "USER_INFO_PARTITIONS": "5"}
    joiners.add(**settings).start()
    joiners.start(**settings)
    sent = []

    def all_have_one() -> bool:
        sent.append(ago_ms(1))
        write_heartbeat(topics, sent[-1])
        return min(newest_times(topics, 5)) > 0

    wait_for(all_have_one, 60, "a heartbeat in every partition of user-info")
    last = ago_ms(1)
    write_heartbeat(topics, last)
    wait_for(lambda: newest_times(topics, 5) == [last] * 5, 60, "the last heartbeat in every partition")
    assert {heartbeat.time_ms for _, heartbeat in heartbeats(topics)} <= {*sent, last}


def test_a_heartbeat_is_as_old_as_its_row_says_and_not_as_its_record(joiners: Joiners) -> None:
    """Rows an hour old, sent now: the flattened time or the row's own is passed on; without either nothing is."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    topics.create("heartbeats", partitions=1)
    joiner = joiners.start(HEARTBEATS_TOPIC=topics.name("heartbeats"), USER_INFO_PARTITIONS="1")
    topics.put("users", user_id=1)
    end_build(topics)

    def write(**row: object) -> None:
        topics.send("heartbeats", b'{"heartbeat_id": 1}', json.dumps({"heartbeat_id": 1, **row}).encode())
        topics.flush()

    def passed(time_ms: int, **row: object) -> bool:
        write(**row)
        return newest_times(topics, 1) == [time_ms]

    # 1. No time, and the time of a snapshot's row: only the log knows of them.
    def warned() -> bool:
        write(beat_at=now_ms())
        return "give the table a column beat_at of type timestamptz" in joiner.log()

    wait_for(warned, 30, "the warning")
    write(__source_ts_ms=now_ms(), __op="r")

    # 2. The row's own time, and what flattening keeps of the envelope.
    first, second = ago_ms(3600), ago_ms(3000)
    text = datetime.fromtimestamp(first / 1000, UTC).isoformat(timespec="milliseconds")
    wait_for(lambda: passed(first, beat_at=text), 60, "the row's own time")
    wait_for(lambda: passed(second, beat_at=text, __source_ts_ms=second, __op="u"), 60, "the envelope's time")
    assert {first, second} == {beat.time_ms for _, beat in heartbeats(topics) if beat.time_ms > ago_ms(7000)}


def test_one_stuck_partition_ages_every_partition(joiners: Joiners) -> None:
    """A transaction left open in one partition of likes holds heartbeats back everywhere, until its rows are shown."""
    topics = joiners.topics
    topics.create_sources(partitions=3)
    topics.create("heartbeats", partitions=1)
    joiners.start(HEARTBEATS_TOPIC=topics.name("heartbeats"), USER_INFO_PARTITIONS="3")
    topics.put("users", user_id=1)
    end_build(topics)

    def passed(time_ms: int) -> bool:
        write_heartbeat(topics, time_ms)
        return newest_times(topics, 3) == [time_ms] * 3

    before = ago_ms(30)
    wait_for(lambda: passed(before), 60, "the first heartbeat in every partition")
    writer = Producer(
        {
            "bootstrap.servers": topics.bootstrap_servers,
            "transactional.id": topics.name("other"),
            "transaction.timeout.ms": 600_000,
        }
    )
    writer.init_transactions()
    writer.begin_transaction()
    writer.produce(topics.name("likes"), b'{"like_id": 7, "user_id": 1, "tweet_id": 1}', b"7", partition=2)
    assert 0 == writer.flush(30)
    # From now on the partition's end includes the row that no consumer may read yet.
    for number in range(3):
        write_heartbeat(topics, ago_ms(20 - number))
        topics.put("tweets", tweet_id=number, user_id=1)
        joiners.await_truth()
    assert [before] * 3 == newest_times(topics, 3)

    writer.commit_transaction()
    topics.rows["likes"]["7"] = {"like_id": 7, "user_id": 1, "tweet_id": 1}
    # The marker that ends the transaction is no record: it must not hold anything back either.
    wait_for(lambda: min(newest_times(topics, 3)) > before, 60, "newer heartbeats")
    joiners.await_truth()
    last = ago_ms(1)
    wait_for(lambda: passed(last), 60, "the last heartbeat in every partition")


def test_a_joiner_writes_heartbeats_itself_and_says_what_they_leave_out(joiners: Joiners) -> None:
    """Without a table of heartbeats it makes the topic and beats on, and /readyz says that CDC is not covered."""
    topics = joiners.topics
    topics.create_sources()
    joiner = joiners.start(
        HEARTBEATS_TOPIC=topics.name("heartbeats"), JOINER_WRITES_HEARTBEATS="true", USER_INFO_PARTITIONS="2"
    )
    began = ago_ms(0)
    wait_for(lambda: min(newest_times(topics, 2)) > began, 60, "heartbeats of its own in every partition")
    report = joiner.get("/readyz").json()
    assert "written by the joiner itself: what happens before Kafka is not covered" == report["heartbeats"]
    assert report["heartbeats"] in joiner.log()
