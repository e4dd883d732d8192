"""Servers as child processes: awaited, known by id and start time, stopped; and the messages where one fails."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from stack.errors import StackError
from stack.servers.ports import free_port
from stack.servers.process import Command, check_port
from tests.support.waiting import wait_for

SERVER = "import time; print('ready', flush=True); time.sleep(600)"


def command(folder: Path, program: str) -> Command:
    """Return a server that is a line of Python."""
    return Command("Server", [sys.executable, "-c", program], folder)


def says_ready(server: Command) -> Callable[[], bool]:
    """Return a check whether a server's log holds this text."""
    return lambda: "ready" in server.log.read_text()


def test_a_server_is_started_found_by_another_process_and_stopped(tmp_path: Path) -> None:
    """Its folder holds its log and who it is; after its end nothing of that is left but the log."""
    server, seen_elsewhere = command(tmp_path / "server", SERVER), command(tmp_path / "server", SERVER)
    server.start(says_ready(server))
    found = seen_elsewhere.find_process()
    assert found is not None
    assert os.getpid() == found.ppid()
    assert server.stop()
    assert not found.is_running()
    assert seen_elsewhere.find_process() is None
    assert ["log"] == [file.name for file in server.folder.iterdir()]
    assert not server.stop()


def test_a_server_that_does_not_listen_to_a_kind_word_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping ends even where the server ignores it."""
    monkeypatch.setattr("stack.servers.process.STOP_SECONDS", 0.5)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SERVER
    server = command(tmp_path, deaf)
    server.start(says_ready(server))
    process = server.find_process()
    assert server.stop()
    assert process is not None
    assert not process.is_running()


def test_a_process_id_that_the_system_uses_again_is_not_ours(tmp_path: Path) -> None:
    """A record left by a crash never makes us stop a stranger."""
    server = command(tmp_path, SERVER)
    stranger = {"pid": os.getpid(), "started": psutil.Process().create_time() - 3600}
    (tmp_path / "process.json").write_text(json.dumps(stranger))
    assert server.find_process() is None
    assert not server.stop()
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("left", ["", "{", '{"pid": 1}x'])
def test_a_record_cut_short_is_no_process(tmp_path: Path, left: str) -> None:
    """A power cut in the middle of writing it does not prevent another start."""
    (tmp_path / "process.json").write_text(left)
    assert command(tmp_path, SERVER).find_process() is None


def test_a_server_that_ends_at_its_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    """The message holds the reason: the log's last lines only."""
    server = command(tmp_path, "for n in range(30): print('line', n)\nraise SystemExit(3)")
    with pytest.raises(StackError, match="Server ended at its start with status 3; its log, ") as failed:
        server.start(lambda: False)
    lines = str(failed.value).splitlines()
    assert [f"  line {number}" for number in range(15, 30)] == lines[1:]
    assert str(server.log) in lines[0]
    assert server.find_process() is None


def test_a_server_that_never_answers_is_stopped_and_shows_the_end_of_its_log(tmp_path: Path) -> None:
    """It is given its time and then not left behind."""
    server = command(tmp_path, SERVER)
    with pytest.raises(StackError, match=r"Server did not answer within 1 s; its log, (?s:.*)\n  ready$"):
        server.start(lambda: False, seconds=1)
    assert server.find_process() is None
    assert not server.stop()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    """One clear message instead of a traceback."""
    server = Command("Server", [str(tmp_path / "absent")], tmp_path)
    with pytest.raises(StackError, match=r"cannot start Server: .*absent"):
        server.start(lambda: True)


def test_a_server_dies_with_the_program_that_started_it(tmp_path: Path) -> None:
    """However that ends, unless it is meant to stay."""
    parent = (
        "import pathlib, sys, time\n"
        "from stack.servers.process import Command\n"
        f"server = Command('Server', [sys.executable, '-c', {SERVER!r}], pathlib.Path(sys.argv[1]))\n"
        "server.start(lambda: 'ready' in server.log.read_text())\n"
        "print('started', flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent, str(tmp_path)], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert "started\n" == starter.stdout.readline()
        process = command(tmp_path, SERVER).find_process()
        assert process is not None
        starter.send_signal(signal.SIGKILL)
    wait_for(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, 30, "the server's end")


def test_a_port_in_use_names_the_setting_that_chooses_another() -> None:
    """And a free one passes."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=rf"port {port} of 127.0.0.1, .* in use; .*, or set STACK_KAFKA_PORT"):
            check_port("Kafka", port, "STACK_KAFKA_PORT")
    check_port("Kafka", free_port(), "STACK_KAFKA_PORT")


def test_a_free_port_is_given_once_and_to_any_server() -> None:
    """No other draw returns it, no server answers there, and a server can listen on it at every start."""
    port = free_port()
    with socket.socket() as drawn, pytest.raises(OSError, match="in use"):
        drawn.bind(("127.0.0.1", port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    for _ in range(2):
        with socket.create_server(("127.0.0.1", port)):
            socket.create_connection(("127.0.0.1", port)).close()
