"""A newcomer's hour: the commands of docs/operations.md, typed, on a service that is in use.

After each procedure every count equals SQL at every reader, nothing lags, and the readers that stayed have never left a
request unanswered, nor answered wrongly.
"""

import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import httpx
import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from stack.seed import populate
from tests.support.continuous_reads import ContinuousReads
from tests.support.procedures import Shell, Step, blocks
from tests.support.programs import ROOT
from tests.support.service import Record, Service
from tests.support.waiting import wait_for

pytestmark = pytest.mark.end_to_end

OPERATIONS = ROOT / "docs" / "operations.md"
READER_2, JOINER_2, JOINER_V2, READER_V2 = 8002, 8012, 8021, 8022
"""Ports as the document names them."""

NOTHING: Mapping[str, Record] = {}


@pytest.fixture(scope="module")
def populated(running_service: Service) -> Service:
    """Give the service with users that it answers already."""
    running_service.empty()
    populate(running_service.dsn, 200)
    await_truth(running_service)
    return running_service


@pytest.fixture
def shell(populated: Service, stack_folder: Path) -> Iterator[Shell]:
    """Give a shell in a copy of the project, which a procedure may change, with its first commands typed."""
    for package in ("shared", "joiner", "reader", "replication", "sink", "doctor", "stack", "ops"):
        shutil.copytree(ROOT / package, stack_folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (stack_folder / ".local").mkdir()
    (stack_folder / ".venv").symlink_to(sys.prefix)
    settings = {"STACK_POSTGRES_PORT": str(populated.postgres_port)}
    ports = {"9092": int(populated.bootstrap_servers.rpartition(":")[2])}
    with Shell(stack_folder, settings, ports) as opened:
        opened.follow(procedure("Add and remove processes"))
        yield opened


@pytest.fixture
def topics(populated: Service) -> Iterator[set[str]]:
    """Give the topics that there are; those that are made meanwhile are deleted."""
    admin = AdminClient({"bootstrap.servers": populated.bootstrap_servers, "log_level": 0})
    before = set(admin.list_topics(timeout=10).topics)
    yield before
    for deleted in admin.delete_topics(list(set(admin.list_topics(timeout=10).topics) - before)).values():
        deleted.result()


def procedure(heading: str) -> list[Step]:
    """Return all commands under a heading of the document."""
    return [step for block in blocks(OPERATIONS, heading) for step in block]


def service_at(service: Service, port: int) -> Service:
    """Return the service as another reader answers for it."""
    return replace(service, reader_port=port)


def await_truth(service: Service, more: Mapping[str, Record] = NOTHING) -> None:
    """Wait until every user is answered as SQL says, and with more keys, by user."""
    truth: dict[str, Record] = {user: {**record, **more.get(user, {})} for user, record in service.truth().items()}
    wait_for(lambda: dict(service.answers(list(truth))) == truth, 120, f"agreement of {service.reader_port} with SQL")


def await_no_lag(*ports: int) -> None:
    """Wait until joiners and readers say that nothing is left to read."""

    def lag() -> float:
        said = [httpx.get(f"http://127.0.0.1:{port}/metrics").text for port in ports]
        samples = re.findall(r"^(?:joiner|reader)_lag_records\{.*\} (\S+)$", "\n".join(said), re.MULTILINE)
        assert samples
        return sum(map(float, samples))

    wait_for(lambda: lag() == 0, 60, "no lag")


def test_a_reader_is_added_and_removed(populated: Service, shell: Shell) -> None:
    """The new one answers as SQL says once it is ready; the old one notices neither its coming nor its going."""
    with ContinuousReads(populated):
        shell.follow(procedure("Add a reader"))
    await_truth(service_at(populated, shell.port(READER_2)))
    await_no_lag(populated.joiner_port, populated.reader_port, shell.port(READER_2))

    with ContinuousReads(populated):
        shell.follow(procedure("Remove a reader"))
    await_truth(populated)


def test_a_joiner_is_added_and_removed(populated: Service, shell: Shell) -> None:
    """The new one takes partitions over and gives them back; no count is lost, doubled or seen to fall."""
    with ContinuousReads(populated):
        _, _, assigned, _ = shell.follow(procedure("Add a joiner"))
    assert int(re.findall(r"\d+", assigned)[0]) > 0
    await_truth(populated)
    await_no_lag(populated.joiner_port, shell.port(JOINER_2), populated.reader_port)

    with ContinuousReads(populated):
        shell.follow(procedure("Remove a joiner"))
    await_truth(populated)
    await_no_lag(populated.joiner_port, populated.reader_port)


def test_lost_disks_fill_again(populated: Service, shell: Shell) -> None:
    """Without their folders, lost while stopped or while running, a reader and a joiner come back; others continue."""
    again = [*procedure("Add a reader"), *procedure("Add a joiner")]
    stopped, running = blocks(OPERATIONS, "Replace a lost disk")
    with ContinuousReads(populated):
        shell.follow(again)
        shell.follow(stopped)
        shell.follow(again)
        shell.follow(running)
        shell.follow(again)

    for port in (populated.reader_port, shell.port(READER_2)):
        await_truth(service_at(populated, port))
    await_no_lag(populated.joiner_port, shell.port(JOINER_2), populated.reader_port, shell.port(READER_2))


def test_a_column_that_goes_leaves_null(populated: Service) -> None:
    """A new column changes nothing; without one that is read, rows that change have null there, others what was."""
    populated.sql("ALTER TABLE users ADD COLUMN pronouns text", "UPDATE users SET location = 'here', pronouns = 'they'")
    populated.await_answer(1, location="here")
    populated.await_answer(2, location="here")

    populated.sql("ALTER TABLE users RENAME COLUMN location TO place", "UPDATE users SET name = 'Al' WHERE user_id = 1")
    populated.await_answer(1, name="Al", location=None)
    assert "here" == (populated.answer(2) or {})["location"]

    populated.sql("ALTER TABLE users DROP COLUMN pronouns", "ALTER TABLE users RENAME COLUMN place TO location")
    populated.sql("UPDATE users SET username = username")
    await_truth(populated)


PUBLIC_TWEETS = "SELECT user_id::text, count(*) FROM tweets WHERE audience = ANY(%s) GROUP BY user_id"


def await_view(service: Service, *audiences: str) -> None:
    """Wait until every user is answered as SQL says, with pronouns and the number of tweets of these audiences."""
    with psycopg.connect(service.dsn) as connection:
        counts: dict[str, int] = dict(connection.execute(PUBLIC_TWEETS, [list(audiences)]).fetchall())
    assert counts
    more = {user: {"pronouns": "they/them", "publicTweetCount": counts.get(user, 0)} for user in service.truth()}
    await_truth(service, more)


@pytest.mark.usefixtures("topics")
def test_the_view_is_changed_and_changed_back(populated: Service, shell: Shell) -> None:
    """A field and a count more beside the old topics, which continue undisturbed; a condition in place, and back."""
    # 1. Beside the old topics.
    with ContinuousReads(populated):
        shell.follow(procedure("Change it beside the old topics"))
    new = service_at(populated, shell.port(READER_V2))
    await_truth(populated)
    await_view(new, "all")
    await_no_lag(shell.port(JOINER_V2), shell.port(READER_V2))

    # 2. The new joiner in the old one's group is refused, with the reason.
    old = "JOINER_GROUP=user-info-joiner USER_INFO_TOPIC=user-info USER_INFO_CHANGES_TOPIC=user-info-changes"
    ours = "DEAD_LETTERS_TOPIC=user-info-dead-letters JOINER_INSTANCE_ID=7 JOINER_STATE_DIR=.local/7 JOINER_HTTP_PORT=0"
    refusal = shell.run(f"{old} {ours} python -m joiner || echo refused")
    assert refusal.endswith("refused\n")
    assert "publicTweetCount" in refusal
    assert "python -m joiner reset" in refusal

    # 3. A condition, in the new topic; and back.
    shell.follow(procedure("Change it in place"))
    await_view(new, "all", "friends")
    shell.follow(procedure("Go back in place"))
    await_view(new, "all")
    await_truth(populated)

    # 4. What a test leaves behind for others: the tables as they were.
    shell.run("kill $(cat .local/reader-v2.pid .local/joiner-v2.pid); wait")
    populated.sql("ALTER TABLE users DROP COLUMN pronouns", "ALTER TABLE tweets DROP COLUMN audience")
