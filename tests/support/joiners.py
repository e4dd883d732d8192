"""Drives joiners: one process, or several of one group on a test's topics."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from stack.servers.ports import free_port
from tests.support.programs import Program, Tier
from tests.support.topics import Topics
from tests.support.waiting import wait_for


class Joiner(Tier):
    """One joiner process, with a folder and a port of its own.

    Args:
        settings: where Kafka is, and what its topics are called.
        folder: of its state; its log is next to it.
        more: further settings.
    """

    port_variable: ClassVar[str] = "JOINER_HTTP_PORT"

    def __init__(self, settings: Mapping[str, str], folder: Path, **more: str) -> None:
        own = {"JOINER_STATE_DIR": str(folder), "JOINER_HTTP_PORT": str(free_port())}
        super().__init__("joiner", {**settings, **own, **more}, folder.with_name(f"{folder.name}.log"))

    def run(self, *arguments: str) -> Program:
        """Return a command of the joiner's with its settings, not started yet; its log is its own."""
        folder = Path(self.environment["JOINER_STATE_DIR"])
        log = folder.with_name(f"{folder.name}-{arguments[0]}.log")
        log.unlink(missing_ok=True)
        return Program("joiner", self.environment, log, *arguments)


class Joiners:
    """Joiners of one group, each with an id of its own.

    Args:
        topics: what they join.
        folder: for their folders and logs.
    """

    def __init__(self, topics: Topics, folder: Path) -> None:
        self.topics = topics
        self._folder = folder
        self.programs: list[Joiner] = []

    def add(self, **settings: str) -> Joiner:
        """Make one more joiner, not started yet."""
        number = len(self.programs)
        own = {"JOINER_INSTANCE_ID": str(number), **settings}
        self.programs.append(Joiner(self.topics.settings(), self._folder / f"joiner-{number}", **own))
        return self.programs[-1]

    def start(self, **settings: str) -> Joiner:
        """Make one more joiner, and wait until it processes."""
        return self.add(**settings).start_and_wait()

    def reset(self, status: int = 0) -> Program:
        """Run `python -m joiner reset --yes` with the settings of the first joiner, to its end.

        Args:
            status: that it must end with.
        """
        with self.programs[0].run("reset", "--yes") as program:
            assert status == program.wait(60), program.log()
        return program

    def kill(self) -> None:
        """Kill those that still run."""
        for program in self.programs:
            program.kill()

    def await_truth(self, seconds: float = 60.0) -> None:
        """Wait until user-info equals what SQL would say.

        Raises:
            AssertionError: it did not in time; shows what the joiners said last.
        """
        self.topics.flush()
        truth = self.topics.truth()
        try:
            wait_for(lambda: self.topics.user_info() == truth, seconds, "user-info equal to the truth")
        except AssertionError as late:
            said = [f"{'running' if each.running else 'ended'}: {each.log()[-2000:]}" for each in self.programs]
            raise AssertionError("\n".join([str(late), *said])) from late
