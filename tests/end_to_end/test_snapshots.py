"""A joiner that starts in the middle of a snapshot: nothing is shown before the connector has written all of it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from shared.builds import BuildMark, parse_mark
from stack.servers.connect import PARTITIONS
from stack.servers.postgres import HEARTBEATS
from tests.support.pipelines import Pipeline, Servers
from tests.support.waiting import wait_for

pytestmark = pytest.mark.end_to_end

ROUNDS = 3
"""So often every part says that its build waits: a joiner that took the half snapshot for all had written by then."""


@contextmanager
def halted_snapshot(pipeline: Pipeline) -> Iterator[psycopg.Connection]:
    """Run a connector that has written some tables, and waits for a lock on the others; give what holds it."""
    with psycopg.connect(pipeline.service.dsn) as holder:
        # The connector takes this slot; to make one itself, it would have to wait for the lock as well.
        holder.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [pipeline.name])
        holder.commit()
        holder.execute("LOCK TABLE likes IN ACCESS EXCLUSIVE MODE")
        pipeline.configure()
        wait_for(lambda: pipeline.topics.messages("follows"), 60, "the first rows of the snapshot")
        yield holder


def count_rounds(pipeline: Pipeline) -> int:
    """Return how often every part has said how far its build is."""
    found = (parse_mark(message.key() or b"", message.value()) for message in pipeline.topics.messages("user-info"))
    marks: list[BuildMark] = [mark for mark in found if mark is not None]
    said = [sum(mark.part == part for mark in marks) for part in range(marks[0].parts)] if marks else [0]
    return min(said)


def await_final_answers(pipeline: Pipeline) -> None:
    """Ask for every user until all are answered: with what SQL says, nothing else."""
    truth = pipeline.service.truth()

    def are_answered() -> bool:
        for user, record in truth.items():
            answer = pipeline.reader.get(f"/users/{user}")
            if answer.status_code == 503:
                return False
            assert (200, record) == (answer.status_code, answer.json())
        return True

    wait_for(are_answered, 60, "every user answered")


@pytest.mark.parametrize(
    ("name", "with_heartbeats", "waits_for", "rule"),
    [
        (
            "midway",
            True,
            "a heartbeat of the source's connector in the topic midway-heartbeats",
            "complete: a heartbeat of the source's connector has come since the build began",
        ),
        (
            "midway2",
            False,
            "the end of the snapshot that a connector writes",
            "complete: no connector's newest row is from the middle of a snapshot",
        ),
    ],
)
def test_half_a_snapshot_shows_nothing(
    servers: Servers, name: str, waits_for: str, rule: str, *, with_heartbeats: bool
) -> None:
    """Joiner and reader say what they wait for; behind the snapshot every answer is final, and the rule is said."""
    pipeline = Pipeline(servers, name)
    if not with_heartbeats:
        del pipeline.joiner.environment["HEARTBEATS_TOPIC"]
    pipeline.create_database()
    pipeline.topics.create("users", "tweets", "follows", "likes", HEARTBEATS, partitions=PARTITIONS)
    with ExitStack() as parts:
        holder = parts.enter_context(halted_snapshot(pipeline))
        parts.callback(pipeline.delete_connector)
        parts.callback(holder.close)
        parts.enter_context(pipeline.joiner).wait_until_ready()
        parts.enter_context(pipeline.reader)
        wait_for(lambda: count_rounds(pipeline) >= ROUNDS, 60, "the joiner saying how far it is")
        assert pipeline.joiner.get("/readyz").json()["build"].startswith(f"waiting for {waits_for}; ")
        said = pipeline.reader.await_state("building")
        assert f"the joiner has not finished the topic yet: it waits for {waits_for}" == said["reason"]
        assert {} == pipeline.topics.user_info()
        assert 503 == pipeline.reader.get("/users/1").status_code
        holder.rollback()
        await_final_answers(pipeline)
        wait_for(lambda: rule == pipeline.joiner.get("/readyz").json()["build"], 60, rule)
