"""A server as a child process: started with a log, awaited, found by other processes, stopped by its id.

Knows no server in particular. A process is identified by its id together with its start time, so that an id that
the system uses again is never treated as ours. Nothing is ever stopped by name.
"""

import ctypes
import json
import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import psutil

from stack.errors import StackError

START_SECONDS = 90.0
STOP_SECONDS = 30.0
LOG_LINES = 15
PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Command:
    """The command that starts a server, and the process that runs it.

    Args:
        name: for messages, such as ``Kafka``.
        arguments: the program and its arguments.
        folder: where it runs, logs to `log`, and leaves its process id in `process.json`.
        environment: added to this process's own.
        user: the system's user that it runs as, with that user's group alone; None: this one.
    """

    name: str
    arguments: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: pwd.struct_passwd | None = None
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def log(self) -> Path:
        """The file that takes all its output."""
        return self.folder / "log"

    @property
    def _record(self) -> Path:
        return self.folder / "process.json"

    def start(self, ready: Callable[[], bool], *, detached: bool = False, seconds: float = START_SECONDS) -> None:
        """Start it and wait until it is ready.

        Args:
            ready: returns whether it answers; called again and again.
            detached: it outlives this process; otherwise it ends with this process, however that ends.
            seconds: how long it may take.

        Raises:
            StackError: it ended or did not become ready; carries the log's last lines.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        process = self._child = self._spawn(detached=detached)
        started = psutil.Process(process.pid).create_time()
        self._record.write_text(json.dumps({"pid": process.pid, "started": started}))
        try:
            self._await(ready, process, seconds)
        except BaseException:  # an interrupt too: nothing half started is left behind
            self.stop()
            raise

    def _await(self, ready: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            status = process.poll()
            if status is not None:
                raise StackError(f"{self.name} ended at its start with status {status}; {self.read_last_lines()}")
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} did not answer within {seconds:g} s; {self.read_last_lines()}")
            time.sleep(0.1)

    def check(self) -> None:
        """Check that it still runs.

        Raises:
            StackError: it has ended; carries the log's last lines.
        """
        if self.find_process() is None:
            raise StackError(f"{self.name} has ended by itself; {self.read_last_lines()}")

    def _spawn(self, *, detached: bool) -> subprocess.Popen[bytes]:
        try:
            with self.log.open("ab") as log:
                return subprocess.Popen(
                    self.arguments,
                    cwd=self.folder,
                    env={**os.environ, **self.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # A session of its own: Ctrl-C in a terminal reaches our program alone, which stops them in order.
                    start_new_session=True,
                    **run_as(self.user),
                    preexec_fn=None if detached else die_with_parent,  # noqa: PLW1509 - no threads of ours start servers
                )
        except OSError as error:
            raise StackError(f"cannot start {self.name}: {error}") from error

    def find_process(self) -> psutil.Process | None:
        """Return the running process, found by id and start time; None where it does not run."""
        try:
            record = json.loads(self._record.read_text())
            process = psutil.Process(record["pid"])
            same = abs(process.create_time() - record["started"]) < 1
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (OSError, ValueError, psutil.NoSuchProcess):
            return None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> bool:
        """Signal it to end, kill it if it does not, and wait until it is gone; return whether it ran."""
        process = self.find_process()
        if process is not None:
            process.send_signal(number)
            try:
                process.wait(STOP_SECONDS)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS)
        if self._child is not None:
            self._child.wait(STOP_SECONDS)
            self._child = None
        self._record.unlink(missing_ok=True)
        return process is not None

    def read_last_lines(self) -> str:
        """Return the end of its log, for a message."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        # Dozens of frames of a Java trace would push its reason out of sight.
        lines = [line for line in lines if not line.startswith("\tat ")][-LOG_LINES:]
        return f"its log, {self.log}, ends with:\n" + "\n".join(f"  {line}" for line in lines)


class ProcessUser(TypedDict, total=False):
    """The arguments with which `subprocess` runs a program as another user."""

    user: int
    group: int
    extra_groups: list[int]


def run_as(user: pwd.struct_passwd | None) -> ProcessUser:
    """Return the arguments with which `subprocess` runs a program as a user, with none of this process's groups."""
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def check_port(name: str, port: int, setting: str) -> None:
    """Check that a port is free.

    Raises:
        StackError: something listens on it; names the setting that chooses another.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StackError(
                f"port {port} of 127.0.0.1, which {name} needs, is in use",
                f"stop the process that listens there, or set {setting} to another port",
            ) from error


def die_with_parent() -> None:
    """Have the system kill this process when the one that started it ends, however that ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
