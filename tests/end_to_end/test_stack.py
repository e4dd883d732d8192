"""`python -m stack` as people use it: servers that come and go with their data, and errors that say what to do.

Each test has a stack of its own.
"""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from stack.servers.kafka import SOURCE_MESSAGE_BYTES, VERSION
from stack.servers.ports import free_port
from tests.support.connectors import LARGE_ROW, LARGE_USER, read_largest_record, set_largest_record
from tests.support.http_client import get
from tests.support.programs import ROOT, Program
from tests.support.topics import read_all
from tests.support.waiting import wait_for

pytestmark = pytest.mark.end_to_end


@dataclass(frozen=True, slots=True)
class Stack:
    """`python -m stack` in a folder and on ports of its own.

    Args:
        folder: its STACK_DIR.
        ports: setting -> port.
    """

    folder: Path
    ports: Mapping[str, int] = field(
        default_factory=lambda: {
            name: free_port()
            for name in (
                "STACK_KAFKA_PORT",
                "STACK_POSTGRES_PORT",
                "STACK_CONNECT_PORT",
                "JOINER_HTTP_PORT",
                "READER_PORT",
            )
        }
    )

    def program(self, *arguments: str, **settings: str) -> Program:
        """Return one call of it, not started yet."""
        ports = {name: str(port) for name, port in self.ports.items()}
        environment = {"STACK_DIR": str(self.folder), "PYTHONUNBUFFERED": "1", **ports, **settings}
        log = self.folder.parent / f"{self.folder.name}-{arguments[0]}.log"
        log.unlink(missing_ok=True)
        return Program("stack", environment, log, *arguments)

    def call(self, *arguments: str, **settings: str) -> tuple[int, str]:
        """Run it to its end; return its exit status and what it said."""
        program = self.program(*arguments, **settings).start()
        return program.wait(120), program.log()

    @property
    def dsn(self) -> str:
        """How a client connects to its PostgreSQL."""
        return f"host=127.0.0.1 port={self.ports['STACK_POSTGRES_PORT']} user=postgres dbname=app"


@pytest.fixture
def stack(stack_folder: Path) -> Iterator[Stack]:
    """Give a stack of this test's own; what still runs at the test's end is stopped."""
    made = Stack(stack_folder / "stack")
    yield made
    made.call("down")


def test_up_continues_where_down_left_it(stack: Stack) -> None:
    """Started twice it is left alone; after `down` it has its rows, its connector its place, its topics their room."""
    # 1. Up: three servers, each with a process of its own.
    status, said = stack.call("up")
    assert 0 == status, said
    status, first = stack.call("status")
    assert (0, 3) == (status, first.count(" answers ")), first

    # 2. Up again: the same processes.
    status, said = stack.call("up")
    assert (0, 3) == (status, said.count("runs already")), said
    assert (0, first) == stack.call("status")
    servers = f"127.0.0.1:{stack.ports['STACK_KAFKA_PORT']}"
    set_largest_record(servers, "users", 5_242_880)  # as an earlier version made it

    # 3. A row, and down: nothing runs, and status says so.
    status, said = stack.call("psql", "-c", "INSERT INTO users (user_id, username) VALUES (1, 'alice')")
    assert (0, "INSERT 0 1\n") == (status, said)
    status, said = stack.call("down")
    assert (0, 3) == (status, said.count(" stopped")), said
    status, said = stack.call("status")
    assert (1, 3) == (status, said.count(" is not running ")), said

    # 4. Down again changes nothing.
    status, said = stack.call("down")
    assert (0, 3) == (status, said.count(" did not run")), said

    # 5. Up: the row is there, and the connector does not begin again with a snapshot.
    status, said = stack.call("up")
    assert 0 == status, said
    assert (0, "alice\n") == stack.call("psql", "-A", "-t", "-c", "SELECT username FROM users")
    assert SOURCE_MESSAGE_BYTES == read_largest_record(servers, "users")
    stack.call("psql", "-c", "INSERT INTO users (user_id, username) VALUES (2, 'bob')")

    def told() -> list[tuple[int, str]]:
        rows = [json.loads(message.value()) for message in read_all(servers, "users")]
        return [(row["after"]["user_id"], row["op"]) for row in rows]

    # "r" would be a row of a snapshot.
    wait_for(lambda: (2, "c") in told(), 60, "a row that was inserted after the second start")
    assert [(1, "c"), (2, "c")] == sorted(told())


def test_any_name_of_a_folder_will_do(stack_folder: Path) -> None:
    """Every program finds the one folder again, whatever its name means elsewhere and whatever the locale is."""
    stack = Stack(stack_folder / r"中 ü, a:b=c#d!\u0041'e\"f%s$HOME ${dir:x:y}")
    settings = {"LC_ALL": "C"}
    try:
        status, said = stack.call("up", **settings)
        assert 0 == status, said
        stack.call("psql", "-c", "INSERT INTO users (user_id, username) VALUES (1, 'alice')", **settings)
        servers = f"127.0.0.1:{stack.ports['STACK_KAFKA_PORT']}"
        wait_for(lambda: 1 == len(list(read_all(servers, "users"))), 60, "the row in Kafka")
        status, said = stack.call("down", **settings)
        assert (0, 3) == (status, said.count(" stopped")), said

        # All three continue with their data: the row is still in Kafka, and no snapshot adds it again.
        status, said = stack.call("up", **settings)
        assert 0 == status, said
        stack.call("psql", "-c", "UPDATE users SET username = 'alicia'", **settings)
        wait_for(lambda: "alicia" in str([m.value() for m in read_all(servers, "users")]), 60, "its change")
        assert ["c", "u"] == [json.loads(message.value())["op"] for message in read_all(servers, "users")]
        assert {stack.folder} == {path for path in stack_folder.iterdir() if path.is_dir()}
    finally:
        stack.call("down", **settings)


def test_a_database_that_forgot_the_connector_is_reported(stack: Stack) -> None:
    """Where the connector's task fails, `up` ends with Debezium's reason, and leaves no Connect behind."""
    status, said = stack.call("up")
    assert 0 == status, said
    with psycopg.connect(stack.dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO users (user_id) VALUES (1)")
    stack.call("down")
    (stack.folder / "postgres").rename(stack.folder / "lost")

    status, said = stack.call("up")

    assert 1 == status, said
    assert "the connector's task has failed" in said
    assert ["Kafka", "PostgreSQL"] == [line.split()[0] for line in running(stack)]


def test_a_port_in_use_is_named(stack: Stack) -> None:
    """`up` and `run` say which port, which server needs it, and which setting chooses another."""
    for setting, server, command in (
        ("STACK_KAFKA_PORT", "Kafka", "up"),
        ("READER_PORT", "the reader", "run"),
        ("JOINER_HTTP_PORT", "the joiner", "run"),
    ):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            status, said = stack.call(command, **{setting: str(port)})
        assert 1 == status, said
        assert f"port {port} of 127.0.0.1, which {server} needs, is in use" in said
        assert setting in said
    assert [] == running(stack)


def test_a_server_that_does_not_come_up_shows_its_log(stack: Stack) -> None:
    """`up` ends with status 1 and the log's last lines, which say why, and nothing of the server is left."""
    data = stack.folder / "kafka" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\nnode.id=7\n")
    (data.parent / "version").write_text(VERSION)

    status, said = stack.call("up")

    assert 1 == status, said
    assert "Kafka ended at its start with status" in said
    assert f"its log, {stack.folder}/kafka/log, ends with:" in said
    assert "configured node id matches" in said
    assert "Traceback" not in said
    assert [] == running(stack)


def test_servers_that_are_down_are_one_clear_line(stack: Stack) -> None:
    """A command that needs PostgreSQL says that it is not there, and where to look."""
    for arguments in (("seed",), ("load", "--seconds", "1")):
        status, said = stack.call(*arguments)
        assert 1 == status, said
        assert said.startswith("Error: PostgreSQL: ")
        assert said.endswith("\n  Try: see whether it runs: python -m stack status\n")


def test_run_as_a_person_would(stack: Stack) -> None:
    """The three printed commands work, a further run continues where the last one was, and no process is ever left."""
    # 1. First run, up to the invitation; its three commands, word for word.
    run = stack.program("run", "--users", "300").start()
    read, change, read_again = await_invitation(run)
    before = likes(shell(read))
    assert "INSERT 0 1\n" == shell(change)
    wait_for(lambda: likes(shell(read_again)) == before + 1, 30, "one more like")

    # 2. Ctrl-C: all parts end, in order.
    parts = parts_of(run)
    run.signal(signal.SIGINT)
    assert 0 == run.wait(60)
    assert run.log().endswith("stopped\n")
    assert [] == alive(parts)

    # 3. Second run: rows and answers are what they were. Killed outright, it takes its parts with it.
    run = stack.program("run").start()
    read, *_ = await_invitation(run)
    assert "the tables hold rows already" in run.log()
    assert before + 1 == likes(shell(read))
    parts = parts_of(run)
    run.kill()
    wait_for(lambda: not alive(parts), 30, "the end of all parts")

    # 4. Third run, after that crash, with two shards behind a proxy, and rows that keep changing: each reader answers
    # for its own users alone, the proxy for all. Ctrl-C is as orderly as before.
    run = stack.program("run", "--load", "50", "--shards", "2").start()
    await_invitation(run)
    parts = parts_of(run)
    shards = re.findall(r"Shard \d/2  (http://127.0.0.1:\d+)/users/1,", run.log())
    assert [{200, 421}] * 10 == [{get(f"{url}/users/{user}").status_code for url in shards} for user in range(1, 11)]
    proxy = f"http://127.0.0.1:{stack.ports['READER_PORT']}"
    assert [200] * 10 == [get(f"{proxy}/users/{user}").status_code for user in range(1, 11)]
    run.wait_until_said("load    | ", 60)
    run.signal(signal.SIGINT)
    assert 0 == run.wait(60)
    assert "Traceback" not in run.log()
    assert [] == alive(parts)


def test_run_reports_a_failed_connector_and_ends_with_a_part_that_ends(stack: Stack) -> None:
    """A connector that fails is reported, with the remedy; a part that dies stops the rest, its last lines shown."""
    run = stack.program("run", "--users", "10").start()
    await_invitation(run)
    parts = parts_of(run)

    # 1. The connector's task fails: reported once, with Kafka's reason, and everything else continues.
    servers = f"127.0.0.1:{stack.ports['STACK_KAFKA_PORT']}"
    set_largest_record(servers, "users", 2_000)
    assert 0 == stack.call("psql", "-c", LARGE_ROW)[0]
    run.wait_until_said("connect | fix the cause, then run: curl", 60)
    assert "RecordTooLargeException" in run.log()

    # 2. Fixed as it says, the row is answered, and that is reported too.
    set_largest_record(servers, "users", SOURCE_MESSAGE_BYTES)
    shell(re.findall("connect \\| fix the cause, then run: (.*)", run.log())[0])
    run.wait_until_said("connect | the connector's task runs again", 60)
    assert 1 == run.log().count("the connector's task has failed")
    url = f"http://127.0.0.1:{stack.ports['READER_PORT']}/users/{LARGE_USER}"
    wait_for(lambda: get(url).status_code == httpx.codes.OK, 60, "the large row")

    # 3. Kafka dies: so does all the rest.
    next(part for part in parts if "kafka.Kafka" in part.cmdline()).kill()
    assert 1 == run.wait(60)
    assert "Kafka has ended by itself" in run.log()
    assert [] == alive(parts)


def await_invitation(run: Program) -> list[str]:
    """Wait until everything runs; return the three commands to try."""
    run.wait_until_said("Ctrl-C stops everything", 120)
    lines = [line.strip() for line in run.log().splitlines()]
    first = lines.index("Try, in another terminal:") + 1
    return lines[first : first + 3]


def shell(command: str) -> str:
    """Run a printed command unchanged, in the project's folder."""
    return subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S602 - it is what a person pastes


def likes(body: str) -> int:
    """Return the count of likes in a response body."""
    count: int = json.loads(body)["likeCount"]
    return count


def parts_of(run: Program) -> list[psutil.Process]:
    """Return every process that a run has started: three servers and two tiers at least."""
    parts = psutil.Process(run.pid).children(recursive=True)
    assert len(parts) >= 5
    return parts


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those that have not ended; one that only waits to be collected has."""
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def running(stack: Stack) -> list[str]:
    """Return the lines of `status` about servers that run."""
    return [line for line in stack.call("status")[1].splitlines() if not line.endswith("process -")]
