"""One of several processes that answer for one reader (`python -m reader.workers.worker`).

Started by reader.workers.supervisor alone.

It reads the live copy beside the process that writes it, and says of the reader what that process writes on the board.
It ends when that process does.
"""

import asyncio
import json
import logging
import socket
import sys
import time
from collections.abc import Callable
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
from shared import logs
from shared.errors import StateError
from shared.settings import read_settings

logger = logging.getLogger("reader.workers.worker")

REPORT_SLOT = 0
"""The place on the board where the reader's standing is; the others are the workers' own, by their numbers."""

PUBLISH_SECONDS = 0.25
SILENCE_SECONDS = 10.0
"""How old a standing may be before the process that writes it is taken to hang."""


class Inherited(NamedTuple):
    """What a worker is started with, in this order.

    Args:
        number: its own, from 1.
        of: how many there are.
        listener: descriptor of the socket that it listens on.
        board: descriptor of the board.
        lifeline: descriptor of a pipe that ends when the process at its other end does.
    """

    number: int
    of: int
    listener: int
    board: int
    lifeline: int


class Follower:
    """What this process knows of the reader: its standing, and the copy that it serves.

    Args:
        settings: of the reader.
        board: where the standing is.
        map_bytes: how much room the map of a copy begins with; it follows what the other process does.
    """

    def __init__(self, settings: ReaderSettings, board: SharedMemory, map_bytes: int = FIRST_MAP_BYTES) -> None:
        self._folder = settings.reader_state_dir
        self._map_bytes = map_bytes
        self._board = board
        self._number = -1
        self.before_looking: Callable[[], None] = lambda: None
        self._standing = self.report_status()
        self._store = self._open(self._standing.held.copy)

    def report_status(self) -> StatusReport:
        """Return how the reader stands."""
        number = self._board.number(REPORT_SLOT)
        if number != self._number:
            text = self._board.read(REPORT_SLOT)
            assert text is not None  # noqa: S101 - it is written before a worker is started
            self._number, self._standing = number, StatusReport.of(json.loads(text))
        return self._standing

    def alive(self) -> bool:
        """Tell whether the reader follows the topic, and has said so of late."""
        standing = self.report_status()
        return standing.alive and time.monotonic() - standing.at < SILENCE_SECONDS

    def view(self) -> ReadView:
        """Return the live copy as it is now; only one view may be open at a time."""
        self.before_looking()
        copy = self.report_status().held.copy
        if copy != self._store.folder.name:
            self._go_over_to(copy)
        return self._store.view()

    def _open(self, copy: str) -> Store:
        return Store(self._folder / copy, self._map_bytes, read_only=True)

    def _go_over_to(self, copy: str) -> None:
        try:
            store = self._open(copy)
        except StateError as error:
            logger.warning("still serving %s: %s", self._store.folder.name, error)
            return
        self._store.close()
        self._store = store


def main() -> None:
    """Answer until told to stop, or until the reader's other process ends."""
    inherited = Inherited(*(int(argument) for argument in sys.argv[1:]))
    settings = read_settings(ReaderSettings)
    logs.configure(settings.log_level, settings.log_format)
    with asyncio.Runner(loop_factory=choose_loop_factory()) as runner:
        runner.run(_answer(settings, inherited))


async def _answer(settings: ReaderSettings, inherited: Inherited) -> None:
    loop = asyncio.get_running_loop()
    board = SharedMemory(inherited.board, inherited.of + 1)
    follower = Follower(settings, board)
    traffic = _traffic_so_far(board, inherited.number)

    def metrics() -> bytes:
        _publish(board, inherited.number, traffic)
        return render_metrics(_traffic_of_all(board, inherited.of), follower.report_status())

    stopping = StopSignal()
    application = build_application(
        settings,
        stopping,
        open_view=follower.view,
        readiness=lambda: follower.report_status().progress,
        is_alive=follower.alive,
        render_metrics=metrics,
        counters=traffic,
    )
    follower.before_looking = application.users.release
    loop.add_reader(inherited.lifeline, _end, loop, inherited.lifeline, stopping)
    publishing = asyncio.create_task(_publish_until_cancelled(board, inherited.number, traffic))
    await serve(application, socket.socket(fileno=inherited.listener), prepare_limits(settings), stopping)
    publishing.cancel()
    _publish(board, inherited.number, traffic)


def _end(loop: asyncio.AbstractEventLoop, lifeline: int, stopping: StopSignal) -> None:
    """Stop: the process that writes the copy is gone."""
    loop.remove_reader(lifeline)
    stopping.stop()


def _traffic_so_far(board: SharedMemory, number: int) -> ResponseCounters:
    """Return what the worker that this one replaces had counted."""
    text = board.read(number)
    traffic = ResponseCounters() if text is None else ResponseCounters.of(json.loads(text))
    traffic.connections = 0
    return traffic


def _traffic_of_all(board: SharedMemory, workers: int) -> list[ResponseCounters]:
    texts = [board.read(number) for number in range(1, workers + 1)]
    return [ResponseCounters.of(json.loads(text)) for text in texts if text is not None]


def _publish(board: SharedMemory, number: int, traffic: ResponseCounters) -> None:
    board.write(number, json.dumps(traffic.document()).encode())


async def _publish_until_cancelled(board: SharedMemory, number: int, traffic: ResponseCounters) -> None:
    while True:
        _publish(board, number, traffic)
        await asyncio.sleep(PUBLISH_SECONDS)


if __name__ == "__main__":
    main()
