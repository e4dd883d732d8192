"""What only new source topics can mend: named first, then mended as docs/operations.md says, word for word."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack.traffic import Traffic
from tests.support import kafka_topics
from tests.support.pipelines import DELETIONS, FLATTENING, SCHEMAS, Pipeline, Servers
from tests.support.procedures import Shell, blocks
from tests.support.programs import ROOT, Program
from tests.support.waiting import wait_for

pytestmark = pytest.mark.end_to_end


class Operator:
    """Who follows the document on a pipeline that is not its own example.

    Args:
        pipeline: whose topics are reloaded.
        shell: with the settings of its joiner.
    """

    def __init__(self, pipeline: Pipeline, shell: Shell) -> None:
        self._pipeline = pipeline
        self._shell = shell

    def reload(self, change: Callable[[], None]) -> None:
        """Type all commands but the first, which names the example's connector; make a change where it says so."""
        _, stop, *rest = blocks(ROOT / "docs" / "operations.md", "Reload source topics")
        topics = " ".join(self._pipeline.topics.name(topic) for topic in ("users", "tweets", "follows", "likes"))
        self._shell.run(f"CONNECTOR={self._pipeline.connector_url} SLOT={self._pipeline.name} TOPICS='{topics}'")
        self._shell.follow(stop)
        change()
        for steps in rest:
            self._shell.follow(steps)

    def joiner_log(self) -> str:
        """Return what the joiner says that the document started."""
        return (self._shell.folder / ".local" / "joiner.log").read_text()


@pytest.fixture
def operators(servers: Servers, stack_folder: Path) -> Iterator[Callable[[Pipeline], Operator]]:
    """Give what opens a shell for a pipeline; it is closed at the end."""
    kafka_topics.install(stack_folder)
    (stack_folder / ".local").mkdir()
    shells: list[Shell] = []

    def open_shell(pipeline: Pipeline) -> Operator:
        settings = {
            **pipeline.joiner.environment,
            "STACK_POSTGRES_PORT": str(servers.postgres.port),
            "PATH": f"{stack_folder}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        ports = {"8001": pipeline.joiner.port, str(servers.connect.port): servers.connect.port}
        shells.append(Shell(stack_folder, settings, ports).__enter__())
        return Operator(pipeline, shells[-1])

    yield open_shell
    for shell in shells:
        shell.__exit__(None, None, None)


def test_lost_deletions_are_named_and_come_back(
    servers: Servers, operators: Callable[[Pipeline], Operator], tmp_path: Path
) -> None:
    """Flattening with `drop` keeps deletions from the topics: the doctor says so, and the way back is exact."""
    with Pipeline(servers, "drops", connector={**FLATTENING, DELETIONS: "drop"}) as pipeline:
        pipeline.service.sql("DELETE FROM likes WHERE user_id = 1")
        pipeline.service.sql("UPDATE users SET description = 'later' WHERE user_id = 1")
        pipeline.service.await_answer(1, description="later")
        assert pipeline.service.truth()["1"] != pipeline.service.answer(1)

        urls = {"--connector": pipeline.connector_url, "--joiner": pipeline.joiner.url, "--reader": pipeline.reader.url}
        arguments = [word for option in urls.items() for word in option]
        doctor = Program("doctor", pipeline.joiner.environment, tmp_path / "doctor.log", *arguments).start()
        assert 1 == doctor.wait(60)
        (said,) = [line for line in doctor.log().splitlines() if line.startswith("wrong")]
        assert said.endswith("flattens rows so that no deletion reaches the topics: deleted rows count for ever")

        def mend() -> None:
            pipeline.connector[DELETIONS] = "delete-to-tombstone"
            pipeline.configure()

        assert 0 == pipeline.joiner.stop()
        operators(pipeline).reload(mend)
        pipeline.await_truth()
        pipeline.service.sql("DELETE FROM likes WHERE user_id = 2")
        pipeline.await_truth()


@pytest.mark.timeout(300)
def test_keys_of_another_form_are_refused_and_come_back(
    servers: Servers, operators: Callable[[Pipeline], Operator]
) -> None:
    """Under load the id of `likes` gets another type, and then its key a second column; each time the same way back."""
    narrow = ["ALTER TABLE likes ALTER like_id TYPE int"]
    with (
        Pipeline(servers, "forms", narrow, SCHEMAS) as pipeline,
        Traffic(pipeline.service.dsn, 50, print) as traffic,
    ):
        pipeline.service.sql("ALTER TABLE likes ALTER like_id TYPE bigint")
        assert 1 == pipeline.joiner.wait(60), pipeline.joiner.log()
        refused = "forms-likes has keys of two forms, like_id int32 and like_id int64"
        assert refused in pipeline.joiner.log()
        assert 'as "Reload source topics" in docs/operations.md describes' in pipeline.joiner.log()
        operator = operators(pipeline)
        operator.reload(lambda: None)

        widened = "DROP CONSTRAINT likes_pkey, ADD region text NOT NULL DEFAULT 'eu', ADD PRIMARY KEY (like_id, region)"
        pipeline.service.sql(f"ALTER TABLE likes {widened}")
        refused = "forms-likes has keys of two forms, like_id int64 and like_id int64, region string"
        wait_for(lambda: refused in operator.joiner_log(), 60, f"a refusal in {operator.joiner_log()}")
        operator.reload(lambda: None)

        traffic.check()
        traffic.stop()
        pipeline.await_truth()
