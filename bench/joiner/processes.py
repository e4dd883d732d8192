"""Programs under measurement: joiners with their default settings, or a peer; what they use of the machine.

Starts programs and observes them from outside. Knows nothing of what they write.
"""

import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.errors import MeasurementError
from stack.servers.ports import free_port
from stack.servers.process import Command


@dataclass(frozen=True, slots=True)
class Usage:
    """What processes have used so far.

    Args:
        cpu_seconds: user and system time, of all of them and their children.
        peak_bytes: the most resident memory that any one of them has had.
    """

    cpu_seconds: float
    peak_bytes: int


def joiner_command(number: int, bootstrap_servers: str, prefix: str, folder: Path, **settings: str) -> Command:
    """Return a joiner with default settings, but for the names of what must be its own.

    Args:
        number: its place in its group, from 0.
        bootstrap_servers: where Kafka is.
        prefix: of the group, and of the topics that are not sources.
        folder: where its log and its state are kept.
        settings: further environment variables.
    """
    place = folder / f"{prefix}joiner-{number}"
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "USER_INFO_TOPIC": f"{prefix}user-info",
        "USER_INFO_CHANGES_TOPIC": f"{prefix}user-info-changes",
        "DEAD_LETTERS_TOPIC": f"{prefix}dead-letters",
        "JOINER_GROUP": f"{prefix}joiner",
        "JOINER_INSTANCE_ID": str(number),
        "JOINER_STATE_DIR": str(place / "state"),
        "JOINER_HTTP_PORT": str(free_port()),
        **settings,
    }
    return Command(f"joiner {number}", (sys.executable, "-m", "joiner"), place, environment)


def peer_command(template: str, values: Mapping[str, str], folder: Path) -> Command:
    """Return another program that does the joiner's job.

    Args:
        template: its command, with placeholders such as ``{bootstrap}``.
        values: placeholder -> what to put there.
        folder: where it runs and its log is kept.

    Raises:
        MeasurementError: a placeholder is not known; names those that are.
    """
    try:
        arguments = [argument.format(**values) for argument in shlex.split(template)]
    except (KeyError, IndexError, ValueError) as error:
        known = ", ".join(f"{{{name}}}" for name in values)
        raise MeasurementError(
            f"--peer: cannot read {template!r}: {error!r}", hint=f"the placeholders are {known}"
        ) from None
    return Command("peer", arguments, folder)


def start(command: Command) -> None:
    """Start a program without waiting for anything: its start is part of what is measured."""
    command.start(lambda: True)


def require_running(command: Command) -> psutil.Process:
    """Return the process of a program that should be running.

    Raises:
        MeasurementError: it has ended; carries its last lines.
    """
    process = command.find_process()
    if process is None:
        raise MeasurementError(f"{command.name} has ended; {command.read_last_lines()}")
    return process


def read_usage(*commands: Command) -> Usage:
    """Return what programs have used so far.

    Raises:
        MeasurementError: one of them has ended.
    """
    cpu, peak = 0.0, 0
    for command in commands:
        process = require_running(command)
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                times = member.cpu_times()
                cpu += times.user + times.system
                peak = max(peak, _read_peak_bytes(member))
    return Usage(cpu, peak)


def _read_peak_bytes(process: psutil.Process) -> int:
    """Return the kernel's own high-water mark where it keeps one, else what is resident now."""
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    resident: int = process.memory_info().rss
    return resident
