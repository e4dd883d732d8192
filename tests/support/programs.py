"""The service's programs as processes: started with an environment, asked over HTTP, stopped by their id."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import httpx

from stack.servers.process import die_with_parent
from tests.support.http_client import get
from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[2]


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings on top of this process's environment, without what there begins like one of ours."""
    ours = ("KAFKA_", "JOINER_", "READER_", "POLLER_", "USER_INFO_", "STACK_", "SINK_")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(ours)}, **settings}


class Program:
    """One `python -m …`, with its log in a file.

    Args:
        module: such as ``joiner``.
        environment: its settings; nothing else of this process's environment that begins like one is passed on.
        log: where its output goes.
        arguments: what follows the module.
    """

    def __init__(self, module: str, environment: Mapping[str, str], log: Path, *arguments: str) -> None:
        self.environment = dict(environment)
        self._command = [sys.executable, "-m", module, *arguments]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def under(self, module: str, *arguments: str) -> Self:
        """Have another program run it, which is given these arguments and then the words of this program's command."""
        self._command[2:2] = [module, *arguments]
        return self

    def start(self) -> Self:
        """Start it, appending to its log; it ends with this process, should that be killed."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=environment({"TMPDIR": str(self._log.parent), **self.environment}),
                stdout=log,
                stderr=log,
                cwd=ROOT,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads of ours start programs
            )
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """Return what it has said since it was first started."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self, seconds: float = 20.0) -> int:
        """Ask it to end, and return its exit status."""
        assert self._process is not None
        self._process.terminate()
        return self.wait(seconds)

    def wait(self, seconds: float = 30.0) -> int:
        """Wait until it ends by itself, and return its exit status."""
        assert self._process is not None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"{self._command} still runs after {seconds:g} s; its log:\n{self.log()}") from late

    def wait_until_said(self, text: str, seconds: float = 30.0) -> None:
        """Wait until its log holds a text."""
        wait_for(lambda: text in self.log(), seconds, f"{text!r} in the log:\n{self.log()[-2000:]}")

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill it."""
        self.kill()


class Tier(Program):
    """A joiner or a reader: it says on a port of its own whether it is ready."""

    port_variable: ClassVar[str]
    """The setting that names the port."""

    state_seconds: ClassVar[float] = 30.0
    """How long a state is waited for."""

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.environment[self.port_variable])

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> httpx.Response:
        """Return its response to a GET request, on a connection of its own."""
        return get(f"{self.url}{path}")

    def state(self) -> dict[str, object]:
        """Return what /readyz says; nothing while it does not answer."""
        try:
            found: dict[str, object] = self.get("/readyz").json()
        except httpx.TransportError:
            return {}
        return found

    def await_state(self, state: str, seconds: float | None = None) -> dict[str, object]:
        """Wait until /readyz says a state, and return all that it says.

        Args:
            state: the state.
            seconds: for how long; `state_seconds` where it is not given.
        """

        def reached() -> dict[str, object] | None:
            said = self.state()
            return said if said.get("state") == state else None

        limit = self.state_seconds if seconds is None else seconds
        return wait_for(reached, limit, f"{state}; now {self.state()}; log:\n{self.log()[-1500:]}") or {}

    def start_and_wait(self, seconds: float = 60.0) -> Self:
        """Start it, and wait until it is ready."""
        self.start().wait_until_ready(seconds)
        return self

    def wait_until_ready(self, seconds: float = 60.0) -> None:
        """Wait until its /readyz answers 200."""
        wait_for(self._is_ready, seconds, f"/readyz of {self.url}, log:\n{self.log()[-2000:]}")

    def _is_ready(self) -> bool:
        assert self.running, f"the program at {self.url} ended:\n{self.log()}"
        try:
            return self.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False
