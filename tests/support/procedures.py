"""Procedures of a document, followed word for word: its commands in a shell, their output compared with what it shows.

Guarantees that nothing of a procedure is repeated in a test: commands and expected output are in the document alone.
Ports are replaced by free ones; everything else is typed unchanged.
"""

import os
import re
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from stack.servers.ports import free_port
from tests.support.programs import environment
from tests.support.waiting import wait_for

HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
BLOCK = re.compile(r"^( *)```console\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
PORT = re.compile(r"(?<=127\.0\.0\.1:)\d+|(?<=_PORT=)\d+")
ANYTHING = "…"
KILLED = re.compile(r"^bash: line \d+: +\d+ Killed .*\n", re.MULTILINE)
"""What the shell itself prints where a program that it started was killed, which terminals do not show."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command, and what it prints; `…` matches anything."""

    command: str
    output: str

    def fits(self, printed: str) -> bool:
        """Say whether it printed what it should."""
        pattern = ".*".join(re.escape(part) for part in self.output.split(ANYTHING))
        return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def blocks(document: Path, heading: str) -> list[list[Step]]:
    """Return the console blocks under a heading, up to the next heading of any level."""
    parts = HEADING.split(document.read_text())
    text = parts[parts.index(heading) + 1]
    found = [list(_steps(indent, block)) for indent, block in BLOCK.findall(text)]
    assert found, f"{document.name} shows no commands under {heading!r}"
    return found


def _steps(indent: str, block: str) -> Iterator[Step]:
    lines = [line.removeprefix(indent) for line in block.splitlines()]
    for command in re.split(r"^\$ ", "\n".join(lines), flags=re.MULTILINE)[1:]:
        typed, _, output = command.partition("\n")
        yield Step(typed, output.strip())


class Shell:
    """A person's shell, with all that was started in it, which ends with it.

    Args:
        folder: where it is opened.
        settings: its variables.
        ports: the document's port -> the one that is meant; any other becomes a free one, always the same.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str], ports: Mapping[str, int]) -> None:
        self.folder = folder
        self._settings = settings
        self._ports = defaultdict(free_port, ports)
        self._output = folder / "printed"
        self._commands = 0

    def port(self, documented: int) -> int:
        """Return the port that is meant where the document names this one."""
        return self._ports[str(documented)]

    def follow(self, steps: list[Step], seconds: float = 120.0) -> list[str]:
        """Type the commands one after the other; return what each printed.

        Raises:
            AssertionError: one prints something else than the document shows.
        """
        printed = []
        for step in steps:
            said = self.run(step.command, seconds)
            assert step.fits(said), f"$ {step.command}\n{said}\nwhere there should be\n{step.output}\n{self._logs()}"
            printed.append(said)
        return printed

    def run(self, command: str, seconds: float = 120.0) -> str:
        """Type one command, wait for its end, and return what it printed."""
        self._commands += 1
        end = f"\nend of command {self._commands}\n"
        typed = PORT.sub(lambda port: str(self._ports[port[0]]), command)
        begun = len(self._printed())
        assert self._process.stdin is not None
        self._process.stdin.write(f"{typed}\nprintf '\\n%s\\n' '{end.strip()}'\n".encode())
        self._process.stdin.flush()
        wait_for(lambda: self._printed().endswith(end), seconds, f"the end of {typed}\n{self._logs()}")
        return KILLED.sub("", self._printed()[begun : -len(end)])

    def _printed(self) -> str:
        return self._output.read_text(errors="replace")

    def _logs(self) -> str:
        logs = sorted((self.folder / ".local").glob("*.log"))
        return "\n".join(f"{log.name} ends with:\n{log.read_text(errors='replace')[-1500:]}" for log in logs)

    def __enter__(self) -> Self:
        """Open it."""
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                ["bash", "--norc"],  # noqa: S607 - a person's own shell
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=environment({"TMPDIR": str(self.folder), **self._settings}),
                start_new_session=True,
            )
        # Ends all of its group when its input closes, also where the tests' own process was killed.
        self.run("trap 'kill -9 0' EXIT")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, and everything that was started in it: what a shell that is no terminal's starts is of its group."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
