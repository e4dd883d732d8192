"""Rows in Avro, by a real converter under ids of a real schema registry: what is true of JSON is true of them."""

import signal
from collections.abc import Iterator

import httpx
import pytest

from stack.servers.registry import Registry
from stack.traffic import Traffic
from tests.end_to_end.test_pipeline import (
    test_a_large_description_survives_edits_of_other_columns,
    test_answers_follow_rows,
    test_the_reader_knows_how_old_its_answers_may_be,
)
from tests.support.pipelines import Pipeline, Servers
from tests.support.programs import Program
from tests.support.service import Service
from tests.support.topics import headers_of
from tests.support.waiting import wait_for

__all__ = [
    "test_a_large_description_survives_edits_of_other_columns",
    "test_answers_follow_rows",
    "test_the_reader_knows_how_old_its_answers_may_be",
]

pytestmark = pytest.mark.end_to_end

UNKNOWN_ID = b"\0\x7f\xff\xff\xff"


@pytest.fixture(scope="module")
def registry(servers: Servers) -> Iterator[Registry]:
    """Give a registry without schemas."""
    with Registry(servers.folder / "registry") as running:
        yield running


@pytest.fixture(scope="module")
def pipeline(servers: Servers, registry: Registry) -> Iterator[Pipeline]:
    """Give a pipeline whose connector writes Avro."""
    with Pipeline(servers, "avro", registry=registry) as running:
        yield running


@pytest.fixture
def service(pipeline: Pipeline) -> Service:
    """Give its service with empty tables, to the tests of the pipeline as they are."""
    pipeline.service.empty()
    return pipeline.service


def test_the_topics_hold_avro(pipeline: Pipeline) -> None:
    """Keys and values, heartbeats included: else the tests above say nothing of it."""
    for topic in ("users", "heartbeats"):
        key, value = wait_for(lambda topic=topic: _read_last(pipeline, topic), 60, f"a row of {topic}")  # type: ignore[misc]
        assert (b"\0", b"\0") == (key[:1], value[:1])


def _read_last(pipeline: Pipeline, topic: str) -> tuple[bytes, bytes] | None:
    rows = [(each.key(), each.value()) for each in pipeline.topics.messages(topic) if each.value() is not None]
    return rows[-1] if rows else None


def test_an_id_that_the_registry_does_not_know_is_waited_for_and_given_up(service: Service, pipeline: Pipeline) -> None:
    """Its record is a dead letter in the end, and rows before and behind it count."""
    service.sql("INSERT INTO users (user_id, username) VALUES (1, 'alice')")
    service.await_answer(1, likeCount=0)
    key, _ = _read_last(pipeline, "users") or (b"", b"")

    pipeline.topics.write("likes", UNKNOWN_ID + key[5:], UNKNOWN_ID)
    service.sql("INSERT INTO likes (like_id, user_id, tweet_id) VALUES (1, 1, 1), (2, 1, 1)")

    service.await_answer(1, likeCount=2)
    wait_for(lambda: _read_reasons(pipeline) == [b"unknown-schema"], 60, "one dead letter")
    assert "does not know schema 2147483647 yet" in pipeline.joiner.log()
    assert pipeline.joiner.running


def _read_reasons(pipeline: Pipeline) -> list[bytes]:
    return [headers_of(letter)["reason"] for letter in pipeline.topics.messages("user-info-dead-letters")]


def test_a_registry_that_is_away_is_waited_for(service: Service, pipeline: Pipeline, registry: Registry) -> None:
    """Known schemas go on without it; a joiner that needs one says so, and goes on by itself once it is back."""
    service.sql("INSERT INTO users (user_id, username) VALUES (1, 'alice')")
    service.await_answer(1, username="alice")
    registry.command.stop(signal.SIGKILL)
    service.sql("UPDATE users SET username = 'alicia' WHERE user_id = 1")
    service.await_answer(1, username="alicia")

    pipeline.joiner.stop()
    service.sql("UPDATE users SET username = 'alison' WHERE user_id = 1")
    pipeline.joiner.start()
    wait_for(lambda: "joiner_waits_for_schema 1.0" in _read_metrics(pipeline), 60, "the joiner waiting")
    said = pipeline.joiner.get("/readyz").json()
    assert "waiting" == said["state"]
    assert f"the schema registry at {registry.url} does not answer" in said["reason"]
    pid = pipeline.joiner.pid

    registry.start()
    service.await_answer(1, username="alison")
    pipeline.joiner.wait_until_ready()
    assert pid == pipeline.joiner.pid
    assert "joiner_waits_for_schema 0.0" in _read_metrics(pipeline)


def _read_metrics(pipeline: Pipeline) -> str:
    """Return the joiner's metrics; none while it does not answer yet."""
    try:
        return pipeline.joiner.get("/metrics").text
    except httpx.TransportError:
        return ""


@pytest.mark.timeout(300)
def test_schemas_change_under_load(servers: Servers, registry: Registry) -> None:
    """Columns come, go and widen, and every answer is right; a key's schema ends the joiner, by name."""
    narrow = ["ALTER TABLE likes ALTER like_id TYPE int, ALTER user_id TYPE int, ADD mood text"]
    with (
        Pipeline(servers, "evolving", narrow, registry=registry) as pipeline,
        Traffic(pipeline.service.dsn, 50, print) as traffic,
    ):
        for change in ("ADD region text DEFAULT 'eu'", "DROP mood", "ALTER user_id TYPE bigint"):
            pipeline.service.sql(f"ALTER TABLE likes {change}", "INSERT INTO likes (user_id, tweet_id) VALUES (1, 1)")
            pipeline.service.sql("UPDATE likes SET user_id = 2 WHERE like_id <= 5")
        traffic.stop()
        traffic.check()
        pipeline.await_truth()
        assert [] == _read_reasons(pipeline)

        pipeline.service.sql(
            "ALTER TABLE likes ALTER like_id TYPE bigint", "INSERT INTO likes (user_id, tweet_id) VALUES (1, 1)"
        )
        assert 1 == pipeline.joiner.wait(60), pipeline.joiner.log()
        refused = "evolving-likes has keys of two forms, like_id int32 (Avro, schema "
        assert refused in pipeline.joiner.log()
        assert 'as "Reload source topics" in docs/operations.md describes' in pipeline.joiner.log()

        doctor = Program(
            "doctor", pipeline.joiner.environment, servers.folder / "evolving-doctor.log", "--rows"
        ).start()
        assert 1 == doctor.wait(60)
        assert refused.replace("evolving-likes", "topic evolving-likes").replace("forms, ", "forms: ") in doctor.log()
