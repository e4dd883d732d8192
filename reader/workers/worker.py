"""One of several processes that serve one reader's copy (`python -m reader.workers.worker`).

Started by reader.workers.supervisor alone, in the main process. A worker reads the live copy next to the main process,
which writes it, and learns the reader's status from that process through shared memory. It ends when that process does.
"""

import asyncio
import json
import logging
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from reader.app import build_application
from reader.http.server import StopSignal, choose_loop_factory, prepare_limits, serve
from reader.settings import ReaderSettings
from reader.status.counters import ResponseCounters
from reader.status.prometheus import render_metrics
from reader.status.report import StatusReport
from reader.storage.read_view import ReadView
from reader.storage.store import FIRST_MAP_BYTES, Store
from reader.workers.shared_memory import SharedMemory
from replication.readiness import Readiness
from shared import logs
from shared.errors import StateError
from shared.settings import read_settings

logger = logging.getLogger("reader.workers.worker")

REPORT_SLOT = 0
"""The slot of the main process's status report; the others are the workers' own, by their numbers."""

PUBLISH_SECONDS = 0.25
SILENCE_SECONDS = 10.0
"""How old a status report may be before the main process is taken to hang."""


class Inherited(NamedTuple):
    """What a worker is started with.

    Args:
        number: its own, from 1.
        of: how many there are.
        memory: descriptor of the shared memory.
        lifeline: descriptor of a pipe that ends when the main process does.
        listeners: descriptors of the sockets that it listens on.
    """

    number: int
    of: int
    memory: int
    lifeline: int
    listeners: tuple[int, ...]

    def to_arguments(self) -> list[str]:
        """Return the arguments of the process."""
        return [str(number) for number in (*self[:4], *self.listeners)]

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> "Inherited":
        """Return what `to_arguments` was called on."""
        number, of, memory, lifeline, *listeners = map(int, arguments)
        return cls(number, of, memory, lifeline, tuple(listeners))


class Follower:
    """What a worker knows of the reader: its status, and the copy that is live. Only the event loop thread uses it.

    Args:
        settings: of the reader.
        memory: where the status report is.
        map_bytes: how much room the map of a copy begins with; it grows as the main process makes it.
    """

    def __init__(self, settings: ReaderSettings, memory: SharedMemory, map_bytes: int = FIRST_MAP_BYTES) -> None:
        self._folder = settings.reader_state_dir
        self._map_bytes = map_bytes
        self._memory = memory
        self._version = -1
        self.before_view: Callable[[], None] = lambda: None
        self._report = self.report_status()
        self._store = self._open(self._report.live_copy.name)

    def report_status(self) -> StatusReport:
        """Return the reader's status, as the main process last wrote it."""
        version = self._memory.version(REPORT_SLOT)
        if version != self._version:
            text = self._memory.read(REPORT_SLOT)
            assert text is not None  # noqa: S101 - it is written before a worker is started
            self._version, self._report = version, StatusReport.from_document(json.loads(text))
        return self._report

    def alive(self) -> bool:
        """Return whether the reader's replicator runs, and the main process has said so recently."""
        report = self.report_status()
        return report.alive and time.monotonic() - report.made_at < SILENCE_SECONDS

    def view(self) -> ReadView:
        """Return the live copy as it is now; only one view may be open at a time."""
        self.before_view()
        self._follow_live_copy()
        return self._store.view()

    def readiness(self) -> Readiness:
        """Return how far the reader is; not serving while this process cannot open the copy that this is said of."""
        self._follow_live_copy()
        report = self.report_status()
        if report.live_copy.name == self._store.folder.name:
            return report.readiness
        reason = f"this process cannot open {report.live_copy.name}, which is served now; its log has the cause"
        return replace(report.readiness, state="failed", serves=False, reason=reason)

    def _follow_live_copy(self) -> None:
        live = self.report_status().live_copy.name
        if live != self._store.folder.name:
            self.before_view()
            self._switch_to(live)

    def _open(self, copy: str) -> Store:
        return Store(self._folder / copy, self._map_bytes, read_only=True)

    def _switch_to(self, copy: str) -> None:
        try:
            store = self._open(copy)
        except StateError as error:
            logger.warning("cannot open %s: %s", copy, error)
            return
        self._store.close()
        self._store = store


def main() -> None:
    """Serve until told to stop, or until the main process ends."""
    inherited = Inherited.from_arguments(sys.argv[1:])
    settings = read_settings(ReaderSettings)
    logs.configure(settings.log_level, settings.log_format)
    with asyncio.Runner(loop_factory=choose_loop_factory()) as runner:
        runner.run(_serve(settings, inherited))


async def _serve(settings: ReaderSettings, inherited: Inherited) -> None:
    loop = asyncio.get_running_loop()
    memory = SharedMemory(inherited.memory, inherited.of + 1)
    follower = Follower(settings, memory)
    counters = _restore_counters(memory, inherited.number)

    def metrics() -> bytes:
        _publish(memory, inherited.number, counters)
        return render_metrics(_read_all_counters(memory, inherited.of), follower.report_status(), settings.shard)

    stopping = StopSignal()
    application = build_application(
        settings,
        stopping,
        open_view=follower.view,
        readiness=follower.readiness,
        is_alive=follower.alive,
        render_metrics=metrics,
        counters=counters,
    )
    follower.before_view = application.users.release
    loop.add_reader(inherited.lifeline, _end, loop, inherited.lifeline, stopping)
    publishing = asyncio.create_task(_publish_until_cancelled(memory, inherited.number, counters))
    listeners = [socket.socket(fileno=descriptor) for descriptor in inherited.listeners]
    await serve(application, listeners, prepare_limits(settings), stopping)
    publishing.cancel()
    _publish(memory, inherited.number, counters)


def _end(loop: asyncio.AbstractEventLoop, lifeline: int, stopping: StopSignal) -> None:
    """Stop, since the main process is gone."""
    loop.remove_reader(lifeline)
    stopping.stop()


def _restore_counters(memory: SharedMemory, number: int) -> ResponseCounters:
    """Return what the worker that this one replaces had counted."""
    text = memory.read(number)
    counters = ResponseCounters() if text is None else ResponseCounters.from_document(json.loads(text))
    counters.connections = 0
    return counters


def _read_all_counters(memory: SharedMemory, workers: int) -> list[ResponseCounters]:
    texts = [memory.read(number) for number in range(1, workers + 1)]
    return [ResponseCounters.from_document(json.loads(text)) for text in texts if text is not None]


def _publish(memory: SharedMemory, number: int, counters: ResponseCounters) -> None:
    memory.write(number, json.dumps(counters.to_document()).encode())


async def _publish_until_cancelled(memory: SharedMemory, number: int, counters: ResponseCounters) -> None:
    while True:
        _publish(memory, number, counters)
        await asyncio.sleep(PUBLISH_SECONDS)


if __name__ == "__main__":
    main()
