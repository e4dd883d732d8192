"""A part of a load in another process: it reads a JSON object, ends on SIGTERM, and writes another object."""

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
        arguments: its arguments.
        document: what it reads from standard input.
        is_held: whether it waits, prepared, for `release`.
    """

    def __init__(
        self, core: int, module: str, *arguments: str, document: dict[str, Any] | None = None, is_held: bool = False
    ) -> None:
        self._module = module
        with pinned_to(frozenset({core})):
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads of ours start parts
            )
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.write(json.dumps(document or {}).encode() + b"\n")
        self._process.stdin.flush()
        if not is_held:
            self.release()

    def release(self) -> None:
        """Let it begin what it has prepared."""
        if self._process.stdin is not None:
            self._process.stdin.close()
            self._process.stdin = None

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self._process.poll() is None

    def result(self, seconds: float = END_SECONDS) -> Any:  # noqa: ANN401 - the part's own JSON
        """Wait until it ends by itself, and return its result.

        Raises:
            MeasurementError: it failed; carries what it wrote instead.
        """
        try:
            written, complaint = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as late:
            raise MeasurementError(f"{self._module} still runs after {seconds:.0f} s") from late
        if self._process.returncode != 0:
            reason = complaint.decode(errors="replace").strip()
            raise MeasurementError(f"{self._module} ended with status {self._process.returncode}: {reason}")
        return json.loads(written)

    def stop(self) -> Any:  # noqa: ANN401 - the part's own JSON
        """Have it end, and return its result."""
        self._process.terminate()
        return self.result()

    def __enter__(self) -> Self:
        """Use it for a while."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill it if it still runs."""
        if self.running:
            self._process.kill()
        self._process.wait()
