"""Kafka stops and comes back under a running joiner, which continues by itself."""

from pathlib import Path

import pytest

from stack.servers.kafka import Kafka
from tests.support.joiners import Joiners
from tests.support.topics import Topics

pytestmark = pytest.mark.broker


def load(topics: Topics, first: int) -> None:
    """Write three hundred likes of ten users."""
    for number in range(first, first + 300):
        topics.put("likes", like_id=number, user_id=number % 10, tweet_id=1)


def test_a_broker_that_dies_and_returns_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """The joiner neither ends nor forgets: it begins again from its last commit and every count is right."""
    with Kafka(tmp_path / "kafka") as kafka:
        joiners = Joiners(Topics(kafka.bootstrap_servers), tmp_path)
        topics = joiners.topics
        topics.create_sources()
        joiner = joiners.start()
        try:
            for user in range(10):
                topics.put("users", user_id=user)
            load(topics, 0)
            joiners.await_truth()
            load(topics, 300)
            kafka.kill()
            kafka.start()
            load(topics, 600)
            joiners.await_truth(90)
            assert joiner.running
            assert 0 == joiner.stop(40)
        finally:
            joiners.kill()


def test_an_outage_longer_than_a_transaction_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """The commit under way fails, and so does giving it up; the stores that it held open must open again."""
    with Kafka(tmp_path / "kafka") as kafka:
        joiners = Joiners(Topics(kafka.bootstrap_servers), tmp_path)
        topics = joiners.topics
        topics.create_sources()
        joiner = joiners.start(JOINER_COMMIT_INTERVAL_SECONDS="2")
        try:
            for user in range(10):
                topics.put("users", user_id=user)
            load(topics, 0)
            joiners.await_truth()
            load(topics, 300)
            topics.flush()
            kafka.kill()
            joiner.wait_until_said("beginning again from the last commit", 90)
            kafka.start()
            load(topics, 600)
            joiners.await_truth(120)
            assert joiner.running
            assert 0 == joiner.stop(40)
        finally:
            joiners.kill()


def test_a_joiner_that_waits_for_kafka_can_be_stopped(tmp_path: Path) -> None:
    """SIGTERM ends it while there is no broker to wait for, too."""
    with Kafka(tmp_path / "kafka") as kafka:
        joiners = Joiners(Topics(kafka.bootstrap_servers), tmp_path)
        joiners.topics.create_sources()
        joiner = joiners.start()
        try:
            kafka.kill()
            joiner.wait_until_said("beginning again from the last commit", 90)
            assert 0 == joiner.stop(60)
            assert "Traceback" not in joiner.log()
        finally:
            joiners.kill()
