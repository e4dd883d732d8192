"""Joiners as a supervisor runs them: those that are wanted run, and one that ends by itself is started again."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from bench.errors import MeasurementError
from bench.joiner import processes
from stack.servers.process import Command

GROUP = "joiner"


class Fleet:
    """Joiners of one group.

    Args:
        admin: of the Kafka where they are a group.
        bootstrap_servers: where Kafka is.
        folder: for their state and logs.
        prefix: of the group, and of the topics that are not sources.
    """

    def __init__(self, admin: AdminClient, bootstrap_servers: str, folder: Path, prefix: str = "") -> None:
        self.ended_by_themselves: list[str] = []
        self._bootstrap_servers = bootstrap_servers
        self._folder = folder
        self._prefix = prefix
        self._admin = admin
        self._joiners: dict[int, Command] = {}
        self._wanted: set[int] = set()
        self._paused: set[int] = set()

    @property
    def wanted(self) -> list[int]:
        """Numbers of the joiners that are meant to run."""
        return sorted(self._wanted)

    def start(self, number: int) -> None:
        """Start a joiner, which from now on is meant to run."""
        if number not in self._joiners:
            self._joiners[number] = processes.joiner_command(
                number, self._bootstrap_servers, self._prefix, self._folder
            )
        self._wanted.add(number)
        processes.start(self._joiners[number])

    def supervise(self) -> None:
        """Start those again that ended by themselves."""
        for number in self.wanted:
            joiner = self._joiners[number]
            if joiner.find_process() is None:
                self.ended_by_themselves.append(_read_last_line(joiner))
                joiner.stop()  # it has ended: this reaps it
                processes.start(joiner)

    def kill(self, number: int) -> None:
        """Kill a joiner as a power cut would; it stays dead until it is started."""
        self._wanted.discard(number)
        self._joiners[number].stop(signal.SIGKILL)

    def stop(self, number: int) -> None:
        """Stop a joiner as an operator would; it stays away until it is started."""
        self._wanted.discard(number)
        self._joiners[number].stop()

    def process(self, number: int) -> psutil.Process:
        """Return the process of a joiner that should be running.

        Raises:
            MeasurementError: it has ended; carries its last lines.
        """
        return processes.require_running(self._joiners[number])

    def pause(self, number: int) -> None:
        """Have the system give a joiner no processor time."""
        self._paused.add(number)
        self.process(number).send_signal(signal.SIGSTOP)

    def resume(self, number: int) -> None:
        """Let a paused joiner continue."""
        self._paused.discard(number)
        self.process(number).send_signal(signal.SIGCONT)

    def is_settled(self) -> bool:
        """Say whether the group consists of exactly those that are meant to run, each with partitions."""
        group = f"{self._prefix}{GROUP}"
        try:
            found = self._admin.describe_consumer_groups([group], request_timeout=5)[group].result()
        except KafkaException:
            return False
        working = {member.group_instance_id for member in found.members if member.assignment.topic_partitions}
        wanted = {f"{group}-{number}" for number in self._wanted - self._paused}
        return found.state == ConsumerGroupState.STABLE and working == wanted

    def delete_state(self, number: int) -> None:
        """Delete what a joiner has on its disk."""
        shutil.rmtree(self._joiners[number].environment["JOINER_STATE_DIR"])

    def reset(self) -> None:
        """Have the group's state deleted, as an operator would; none of its joiners runs.

        Raises:
            MeasurementError: the command fails; carries what it says.
        """
        environment = {**os.environ, **self._joiners[0].environment}
        command = [sys.executable, "-m", "joiner", "reset", "--yes"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise MeasurementError(f"the joiner was not reset: {done.stderr.strip()}")

    def kill_all(self) -> None:
        """Kill all of them."""
        for number in list(self._joiners):
            self.kill(number)

    def logs(self) -> list[Path]:
        """Return the joiners' logs."""
        return [joiner.log for joiner in self._joiners.values()]


def _read_last_line(joiner: Command) -> str:
    lines = joiner.log.read_text(errors="replace").splitlines() or ["nothing"]
    return f"{joiner.name}: {lines[-1]}"
