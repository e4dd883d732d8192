"""The tiers as child processes of `make run`; each log line is shown with its tier's name."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from stack.errors import StackError
from stack.servers.process import die_with_parent

STOP_SECONDS = 20.0


class Tier:
    """One `python -m joiner`, `python -m reader` or `python -m poller`.

    Args:
        name: `joiner`, `poller`, `reader`, or, of several, `reader-1`.
        environment: its settings.
        log: the file that takes its output.
        show: called with each line of its output.
    """

    def __init__(self, name: str, environment: Mapping[str, str], log: Path, show: Callable[[str], None]) -> None:
        self.name = name
        self._log = log
        self._show = show
        log.parent.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", name.partition("-")[0]],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C is for `make run`, which then stops its parts in order.
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - started before this program has threads that matter
        )
        threading.Thread(target=self._copy_output, name=f"log of {name}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def check(self) -> None:
        """Check that it runs.

        Raises:
            StackError: it has ended; carries its last lines, which say why.
        """
        status = self._process.poll()
        if status is not None:
            last = "".join(f"  {line}\n" for line in self._log.read_text(errors="replace").splitlines()[-10:])
            raise StackError(f"the {self.name} ended with status {status}; its log, {self._log}, ends with:\n{last}")

    def stop(self) -> None:
        """Terminate it; kill it if it does not end in time."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _copy_output(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        with self._log.open("a", encoding="utf-8") as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                self._show(f"{self.name:7} | {line.rstrip()}")
