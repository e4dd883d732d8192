"""`python -m doctor` on a real Kafka: finds what is there, says what is wrong, and ends with a status that says so."""

import os
import subprocess
import sys

import pytest
from confluent_kafka import Producer

from stack.servers.ports import free_port
from tests.support.joiners import Joiners
from tests.support.programs import ROOT

pytestmark = pytest.mark.broker


def doctor(settings: dict[str, str], *options: str) -> tuple[int, str]:
    """Run the doctor; return its exit status and what it says."""
    command = [sys.executable, "-m", "doctor", *options]
    done = subprocess.run(
        command, env={**os.environ, **settings}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def test_it_says_what_is_wrong_with_a_deployment(joiners: Joiners) -> None:
    """A missing topic, an uncompacted one and processes that are not there, each with its remedy."""
    topics = joiners.topics
    topics.create("users", "tweets")
    topics.create("follows", cleanup_policy="delete")
    nowhere = f"http://127.0.0.1:{free_port()}"
    status, said = doctor(
        topics.settings(), "--connector", f"{nowhere}/connectors/user-info", "--joiner", nowhere, "--reader", nowhere
    )
    assert 1 == status
    assert f"wrong     topic {topics.name('likes')} does not exist" in said
    assert f"wrong     topic {topics.name('follows')} has cleanup.policy=delete" in said
    assert f"doubtful  topic {topics.name('users')} has one replica" in said
    assert f"wrong     connector {nowhere}/connectors/user-info gives no status" in said
    assert f"wrong     reader {nowhere}/readyz does not answer" in said


def test_it_calls_a_joiner_that_works_well(joiners: Joiners) -> None:
    """With all topics made by a joiner nothing is wrong with them, nor with the joiner."""
    joiners.topics.create_sources()
    joiner = joiners.start()
    url = joiner.url
    nowhere = f"http://127.0.0.1:{free_port()}"
    _, said = doctor(joiners.topics.settings(), "--connector", nowhere, "--joiner", url, "--reader", nowhere)
    assert f"well      joiner {url}/readyz is running" in said
    assert [] == [line for line in said.splitlines() if line.startswith("wrong") and "topic" in line]


def test_it_says_so_where_no_kafka_answers() -> None:
    """The first thing to fix is named, with the variable that may be wrong."""
    status, said = doctor({"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"})
    assert 1 == status
    assert "does not answer" in said
    assert "KAFKA_BOOTSTRAP_SERVERS" in said


def test_it_finds_rows_in_two_partitions_and_keys_of_two_forms(joiners: Joiners) -> None:
    """Where it is asked to read the rows: writers with different partitioners, and one with another converter."""
    topics = joiners.topics
    topics.create_sources()
    topics.put("users", user_id=1)
    topics.put("tweets", tweet_id=1, user_id=1)
    topics.write("tweets", b'{"tweet_id":1}', None)
    for partition in (0, 2):
        writer = Producer({"bootstrap.servers": topics.bootstrap_servers, "enable.idempotence": True})
        writer.produce(topics.name("likes"), b'{"like_id": 7, "user_id": 1}', b"7", partition=partition)
        assert 0 == writer.flush(10)
    status, said = doctor(topics.settings(), "--rows")
    assert 1 == status
    assert f"well      topic {topics.name('users')}: 1 rows, each in one partition, keys of one form" in said
    assert f"wrong     topic {topics.name('tweets')} has keys of two forms" in said
    assert f"wrong     topic {topics.name('likes')}: 1 of 1 rows lie in several partitions, and count in each" in said
    assert "7 in 0 and 2" in said
