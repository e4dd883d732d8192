"""Joiners of one group on topics of one test."""

from pathlib import Path

from stack.servers.ports import free_port
from tests.support.programs import Program
from tests.support.topics import Topics
from tests.support.waiting import wait_for


class Joiners:
    """Joiners of one group, each with an id, a folder and a port of its own."""

    def __init__(self, topics: Topics, folder: Path) -> None:
        self.topics = topics
        self._folder = folder
        self.programs: list[Program] = []

    def add(self, **settings: str) -> Program:
        """Make one more joiner, not started yet."""
        number = len(self.programs)
        environment = {
            **self.topics.settings(),
            "JOINER_INSTANCE_ID": str(number),
            "JOINER_STATE_DIR": str(self._folder / f"joiner-{number}"),
            "JOINER_HTTP_PORT": str(free_port()),
            **settings,
        }
        self.programs.append(Program("joiner", environment, self._folder / f"joiner-{number}.log"))
        return self.programs[-1]

    def start(self, **settings: str) -> Program:
        """Make one more joiner, and wait until it processes."""
        return self.go_on(self.add(**settings))

    def go_on(self, program: Program, seconds: float = 60.0) -> Program:
        """Start a joiner that does not run, and wait until it processes."""
        program.start().wait_until_ready(self.port(program), seconds)
        return program

    def port(self, program: Program) -> int:
        """Return where a joiner is asked."""
        return int(program.environment["JOINER_HTTP_PORT"])

    def reset(self, status: int = 0) -> Program:
        """Run `python -m joiner reset --yes` with the settings of the first joiner, to its end.

        Args:
            status: that it must end with.
        """
        program = Program("joiner", self.programs[0].environment, self._folder / "reset.log", "reset", "--yes")
        with program:
            assert program.wait(60) == status, program.log()
        return program

    def kill(self) -> None:
        """End whatever still runs."""
        for program in self.programs:
            program.kill()

    def await_truth(self, seconds: float = 60.0) -> None:
        """Wait until user-info equals what SQL would say."""
        self.topics.flush()
        truth = self.topics.truth()
        wait_for(lambda: self.topics.user_info() == truth, seconds, "user-info equal to the truth")
