"""Topics that refuse what the joiner writes: named at the start and while it runs, and never tried for ever."""

import base64
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicCollection
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from joiner.attempts import FRUITLESS_ATTEMPTS
from stack.servers.kafka import Kafka
from tests.support.joiners import Joiner, Joiners
from tests.support.topics import Topics, headers_of
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

ONE_MIB = "1048588"
"""Kafka's default."""

OLD = {"before": None, "after": {"user_id": "old"}, "op": "c", "source": {"ts_ms": 1_600_000_000_000}}


def noise(size: int) -> str:
    """Return text that compresses badly: brokers measure compressed batches."""
    return base64.b64encode(os.urandom(size * 3 // 4)).decode()


def end_of(joiner: Joiner) -> str:
    """Wait until a joiner has ended by itself, and return the one line of error that it has given."""
    assert 1 == joiner.wait(60)
    (error,) = [line for line in joiner.log().splitlines() if line.startswith("Error: ")]
    assert "Traceback" not in joiner.log()
    return error


def attempts(joiner: Joiner) -> int:
    """Return how often a joiner has begun to join."""
    return joiner.log().count("joining as")


@pytest.mark.parametrize(
    ("topic", "config", "said"),
    [
        ("user-info", {"max_message_bytes": ONE_MIB}, "(USER_INFO_TOPIC) refuses records over 1048588 bytes"),
        ("user-info", {"message_timestamp_before_max_ms": "1000"}, "has message.timestamp.before.max.ms=1000"),
        ("user-info", {"message_timestamp_after_max_ms": "1000"}, "has message.timestamp.after.max.ms=1000"),
        ("user-info", {"message_timestamp_type": "LogAppendTime"}, "has message.timestamp.type=LogAppendTime"),
        (
            "user-info-changes",
            {"cleanup_policy": "delete", "retention_ms": "-1", "max_message_bytes": ONE_MIB},
            "(USER_INFO_CHANGES_TOPIC) refuses records over 1048588 bytes",
        ),
        ("user-info-dead-letters", {"cleanup_policy": "compact"}, "letters without a key are refused"),
        (
            "user-info-dead-letters",
            {"cleanup_policy": "delete", "max_message_bytes": "100000"},
            "(DEAD_LETTERS_TOPIC) refuses records over 100000 bytes",
        ),
    ],
)
def test_a_topic_that_refuses_records_is_refused_at_the_start(
    joiners: Joiners, topic: str, config: dict[str, str], said: str
) -> None:
    """The joiner says which property of which topic to set, before it joins anything."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    topics.create(topic)
    topics.configure(topic, **config)
    joiner = joiners.add().start()
    error = end_of(joiner)
    assert f"Error: the topic {topics.name(topic)} (" in error
    assert said in error
    assert 0 == attempts(joiner)


def test_a_record_that_became_too_large_for_its_topic_ends_the_joiner(joiners: Joiners) -> None:
    """No endless attempts, one line that names topic and remedy; once the topic is mended, all arrives."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    joiner = joiners.start()
    topics.configure("user-info", max_message_bytes=ONE_MIB)
    topics.put("users", user_id="large", description=noise(1_500_000))
    topics.flush()
    assert f"Error: the topic {topics.name('user-info')} refuses a record, and would again: " in end_of(joiner)
    assert "set max.message.bytes=4456448 or more" in joiner.log()
    assert attempts(joiner) < FRUITLESS_ATTEMPTS
    topics.configure("user-info", max_message_bytes="4456448")
    joiner.start_and_wait()
    joiners.await_truth()


def test_a_record_that_became_too_old_for_its_topic_ends_the_joiner(joiners: Joiners) -> None:
    """The broker refuses the source's time; the line names the topic, the reason and the property."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    joiner = joiners.start()
    topics.configure("user-info", message_timestamp_before_max_ms="1000")
    topics.write("users", b"old", json.dumps(OLD).encode())
    error = end_of(joiner)
    assert f"the topic {topics.name('user-info')} refuses a record, and would again: " in error
    assert error.endswith("(INVALID_TIMESTAMP)")
    assert "set message.timestamp.before.max.ms=9223372036854775807" in joiner.log()
    assert attempts(joiner) < FRUITLESS_ATTEMPTS


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"message_timestamp_type": "LogAppendTime"}, "has message.timestamp.type=LogAppendTime"),
        ({"cleanup_policy": "delete"}, "has cleanup.policy=delete: users that nothing changes are lost"),
    ],
)
def test_a_topic_that_is_reconfigured_to_lose_what_it_holds_ends_the_joiner(
    joiners: Joiners, config: dict[str, str], said: str
) -> None:
    """It is noticed within seconds, with nothing to write."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    joiner = joiners.start()
    topics.configure("user-info", **config)
    assert f"Error: the topic {topics.name('user-info')} (USER_INFO_TOPIC) {said}" in end_of(joiner)
    assert attempts(joiner) < FRUITLESS_ATTEMPTS


def test_a_limit_that_is_lowered_is_warned_of_once(joiners: Joiners) -> None:
    """The joiner continues with what fits, since most records may."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    joiner = joiners.start()
    topics.configure("user-info", max_message_bytes=ONE_MIB)
    said = f"WARNING joiner.kafka.topic_checks: the topic {topics.name('user-info')} (USER_INFO_TOPIC) refuses records"
    joiner.wait_until_said(said)
    topics.put("users", user_id="alice")
    joiners.await_truth()
    time.sleep(11)  # as long as from one look to the next
    assert 1 == joiner.log().count(said)
    assert joiner.running


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_dead_letter_is_cut_to_what_its_topic_takes(joiners: Joiners, when: str) -> None:
    """A bad record stops nothing, even one with a large key, whether the limit was there before or is set later."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    if when == "before":
        topics.create("user-info-dead-letters", partitions=1, cleanup_policy="delete", max_message_bytes=ONE_MIB)
    joiner = joiners.start()
    topics.configure("user-info-dead-letters", max_message_bytes=ONE_MIB)
    large = noise(1_500_000).encode()
    topics.send("users", b"value", large)
    topics.send("users", noise(1_500_000).encode(), b"{}")
    topics.put("users", user_id="alice")
    joiners.await_truth()
    value, key = wait_for(lambda: topics.messages("user-info-dead-letters"), 30, "the letters")
    assert b"1500000" == headers_of(value)["cut-from-bytes"]
    assert large.startswith(value.value() or b"no value")
    assert 1_000_000 - 65_536 < len(value.value() or b"") < int(ONE_MIB)
    assert (1024, b"{}") == (len(key.key() or b""), key.value())
    assert (when == "while") is ("Kafka refuses what the joiner writes" in joiner.log())
    assert attempts(joiner) < FRUITLESS_ATTEMPTS


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Topics]:
    """Give topics on a Kafka that has an authorizer; whoever has no rule may do everything."""
    authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
    properties = {"authorizer.class.name": authorizer, "allow.everyone.if.no.acl.found": "true"}
    with Kafka(tmp_path / "kafka", properties=properties) as kafka:
        yield Topics(kafka.bootstrap_servers)


def test_a_right_that_is_taken_away_is_named_by_a_later_attempt(guarded: Topics, tmp_path: Path) -> None:
    """Kafka says only that records were not delivered; a later start looks which topic may not be written to."""
    guarded.create_sources(partitions=1)
    joiners = Joiners(guarded, tmp_path)
    joiner = joiners.start()
    try:
        for operation in (AclOperation.READ, AclOperation.DESCRIBE_CONFIGS):
            allow(guarded, "user-info", operation)
        wait_for(lambda: not may_write(guarded, "user-info"), 30, "the rules in force")
        guarded.put("users", user_id="alice")
        guarded.flush()
        error = end_of(joiner)
    finally:
        joiners.kill()
    assert f"Error: the joiner's user may not write to the topic {guarded.name('user-info')} (USER_INFO_TOPIC)" in error
    assert attempts(joiner) < FRUITLESS_ATTEMPTS
    # A start that gets no answer in time begins again as well, which is no attempt to write.
    assert joiner.log().count("beginning again from the last commit") < FRUITLESS_ATTEMPTS


def may_write(topics: Topics, topic: str) -> bool:
    """Return whether everyone may write to a topic, as the broker that would refuse it says."""
    name = topics.name(topic)
    described = topics.admin.describe_topics(TopicCollection([name]), include_authorized_operations=True)
    return AclOperation.WRITE in described[name].result(10).authorized_operations


def allow(topics: Topics, topic: str, operation: AclOperation) -> None:
    """Allow everyone one operation on a topic, and with it no other one."""
    rule = AclBinding(
        ResourceType.TOPIC,
        topics.name(topic),
        ResourcePatternType.LITERAL,
        "User:*",
        "*",
        operation,
        AclPermissionType.ALLOW,
    )
    for made in topics.admin.create_acls([rule]).values():
        made.result()
