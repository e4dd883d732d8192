"""Several processes that answer for one reader: started, told how it stands, replaced where they die, stopped."""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from dataclasses import replace

from reader.status.report import StatusReport
from reader.workers.shared_memory import SharedMemory
from reader.workers.worker import REPORT_SLOT, Inherited

logger = logging.getLogger(__name__)

TELL_SECONDS = 0.05
LEAST_LIFE_SECONDS = 1.0
"""A worker that lived shorter than this is replaced when it would have been as old: failures take no processor."""

STOP_SECONDS = 3.0


class Supervisor:
    """The workers of one reader.

    Args:
        listeners: the socket of each worker; what arrives there while a worker is replaced waits for the next one.
        board: with a place for the reader's standing and for each worker.
        standing: how the reader stands.
        after_a_death: called when a worker has died, to give back what it held.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        board: SharedMemory,
        standing: Callable[[], StatusReport],
        after_a_death: Callable[[], None],
    ) -> None:
        self._listeners = listeners
        self._board = board
        self._standing = standing
        self._after_a_death = after_a_death
        self._stopping = asyncio.Event()
        self._processes: dict[int, Process] = {}

    async def run(self, on_stop: Callable[[], None]) -> None:
        """Keep the workers until SIGTERM or SIGINT, then have them end what they have at hand.

        Args:
            on_stop: called once when the signal arrives; must not block.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop, on_stop)
        lifeline, end = os.pipe()
        try:
            self._tell()
            telling = asyncio.create_task(self._tell_until_stopped())
            await asyncio.gather(*(self._keep(number, lifeline) for number in range(1, len(self._listeners) + 1)))
            await telling
        finally:
            os.close(lifeline)
            os.close(end)

    def _stop(self, on_stop: Callable[[], None]) -> None:
        """Take no more connections, and tell the workers to end."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        on_stop()
        for listener in self._listeners:
            listener.close()
        for process in self._processes.values():
            process.terminate()

    async def _keep(self, number: int, lifeline: int) -> None:
        """Start a worker, and another whenever it has died."""
        while not self._stopping.is_set():
            began = time.monotonic()
            process = await self._start(number, lifeline)
            status = await self._end_of(process)
            del self._processes[number]
            if self._stopping.is_set():
                return
            logger.warning("worker %d (process %d) ended with status %d; starting another", number, process.pid, status)
            self._after_a_death()
            left = LEAST_LIFE_SECONDS - (time.monotonic() - began)
            if left > 0:
                await _set_within(self._stopping, left)

    async def _start(self, number: int, lifeline: int) -> Process:
        listener, board = self._listeners[number - 1].fileno(), self._board.file
        inherited = Inherited(number, len(self._listeners), listener, board, lifeline)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "reader.workers.worker",
            *map(str, inherited),
            pass_fds=(listener, board, lifeline),
            start_new_session=True,  # Ctrl-C is for this process, which tells the others
        )
        self._processes[number] = process
        if self._stopping.is_set():
            process.terminate()
        return process

    async def _end_of(self, process: Process) -> int:
        """Wait until a worker ends, which it may not take long to once it was told."""
        ending = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ending.done():
            await asyncio.wait({ending}, timeout=STOP_SECONDS)
        if not ending.done():
            process.kill()
        return await ending

    async def _tell_until_stopped(self) -> None:
        while not await _set_within(self._stopping, TELL_SECONDS):
            self._tell()

    def _tell(self) -> None:
        standing = replace(self._standing(), at=time.monotonic())
        self._board.write(REPORT_SLOT, json.dumps(standing.document()).encode())


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; return whether it was set in time."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
