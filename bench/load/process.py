"""A part of a load as a process of its own: given a JSON object, ended by SIGTERM, read for another."""

import json
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from bench.errors import MeasurementError
from bench.load.cores import pinned_to
from stack.servers.process import die_with_parent

END_SECONDS = 60.0


class LoadProcess:
    """One running `python -m …` of this package.

    Args:
        core: where it runs.
        module: such as ``bench.load.open_loop``.
        words: its arguments.
        given: what it reads from standard input.
        held: whether it waits, prepared, for `go`.
    """

    def __init__(
        self, core: int, module: str, *words: str, given: dict[str, Any] | None = None, held: bool = False
    ) -> None:
        self._module = module
        with pinned_to(frozenset({core})):
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads of ours start parts
            )
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.write(json.dumps(given or {}).encode() + b"\n")
        self._process.stdin.flush()
        if not held:
            self.go()

    def go(self) -> None:
        """Have it begin what it has prepared."""
        if self._process.stdin is not None:
            self._process.stdin.close()
            self._process.stdin = None

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self._process.poll() is None

    def result(self, seconds: float = END_SECONDS) -> Any:  # noqa: ANN401 - whatever the part says
        """Wait until it ends by itself, and return what it said.

        Raises:
            MeasurementError: it failed; carries what it said instead.
        """
        try:
            said, complaint = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as late:
            raise MeasurementError(f"{self._module} still runs after {seconds:.0f} s") from late
        if self._process.returncode != 0:
            reason = complaint.decode(errors="replace").strip()
            raise MeasurementError(f"{self._module} ended with status {self._process.returncode}: {reason}")
        return json.loads(said)

    def stop(self) -> Any:  # noqa: ANN401 - whatever the part says
        """Have it end, and return what it said."""
        self._process.terminate()
        return self.result()

    def __enter__(self) -> Self:
        """Use it for a while."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, whatever happened."""
        if self.running:
            self._process.kill()
        self._process.wait()
