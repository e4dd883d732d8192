"""Starts the workers of one reader, writes its status for them, replaces those that die, and stops them."""

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
from itertools import chain

from reader.status.report import StatusReport
from reader.workers.shared_memory import SharedMemory
from reader.workers.worker import REPORT_SLOT, Inherited

logger = logging.getLogger(__name__)

REPORT_SECONDS = 0.05
"""How often the status report is written: as often as the replicator waits for a batch."""

LEAST_LIFE_SECONDS = 1.0
"""A worker that lived shorter than this is replaced when it would have been as old, so that one that always fails takes
no processor."""

STOP_SECONDS = 3.0
"""How long a worker may take to end after SIGTERM: longer than it lets its requests take, after that it is killed."""


class Supervisor:
    """The workers of one reader. Only the event loop thread of the main process uses it.

    Args:
        listeners: the sockets of each worker; what arrives there while a worker is replaced waits for the next one.
        memory: with a slot for the status report and one for each worker.
        report_status: returns the reader's status.
        after_death: called when a worker has died, to give back what it held.
    """

    def __init__(
        self,
        listeners: Sequence[Sequence[socket.socket]],
        memory: SharedMemory,
        report_status: Callable[[], StatusReport],
        after_death: Callable[[], None],
    ) -> None:
        self._listeners = listeners
        self._memory = memory
        self._report_status = report_status
        self._after_death = after_death
        self._stopping = asyncio.Event()
        self._processes: dict[int, Process] = {}

    async def run(self, on_stop: Callable[[], None]) -> None:
        """Keep the workers running until SIGTERM or SIGINT, then have them finish their requests and end.

        Args:
            on_stop: called once when the signal arrives; must not block.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop, on_stop)
        lifeline, end = os.pipe()
        try:
            self._write_report()
            reporting = asyncio.create_task(self._report_until_stopped())
            await asyncio.gather(
                *(self._keep_worker_running(number, lifeline) for number in range(1, len(self._listeners) + 1))
            )
            await reporting
        finally:
            os.close(lifeline)
            os.close(end)

    def _stop(self, on_stop: Callable[[], None]) -> None:
        """Accept no more connections, and tell the workers to end."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        on_stop()
        for listener in chain.from_iterable(self._listeners):
            listener.close()
        for process in self._processes.values():
            process.terminate()

    async def _keep_worker_running(self, number: int, lifeline: int) -> None:
        """Start a worker, and another whenever it has died."""
        while not self._stopping.is_set():
            began = time.monotonic()
            process = await self._start(number, lifeline)
            status = await self._await_end(process)
            del self._processes[number]
            if self._stopping.is_set():
                return
            logger.warning("worker %d (process %d) ended with status %d; starting another", number, process.pid, status)
            self._after_death()
            left = LEAST_LIFE_SECONDS - (time.monotonic() - began)
            if left > 0:
                await _is_set_within(self._stopping, left)

    async def _start(self, number: int, lifeline: int) -> Process:
        listeners = tuple(listener.fileno() for listener in self._listeners[number - 1])
        inherited = Inherited(number, len(self._listeners), self._memory.file, lifeline, listeners)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "reader.workers.worker",
            *inherited.to_arguments(),
            pass_fds=(*listeners, self._memory.file, lifeline),
            start_new_session=True,  # Ctrl-C is for this process, which tells the others
        )
        self._processes[number] = process
        if self._stopping.is_set():
            process.terminate()
        return process

    async def _await_end(self, process: Process) -> int:
        """Return a worker's exit status once it has ended; kill it where it does not, though it was told to."""
        ending = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ending.done():
            await asyncio.wait({ending}, timeout=STOP_SECONDS)
        if not ending.done():
            process.kill()
        return await ending

    async def _report_until_stopped(self) -> None:
        while not await _is_set_within(self._stopping, REPORT_SECONDS):
            self._write_report()

    def _write_report(self) -> None:
        report = replace(self._report_status(), made_at=time.monotonic())
        self._memory.write(REPORT_SLOT, json.dumps(report.to_document()).encode())


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; return whether it was set in time."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
