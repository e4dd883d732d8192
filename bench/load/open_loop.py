"""An open loop: requests leave on a clock, whether earlier ones have been answered or not.

A latency counts from the moment when the request was due, so that a stall is felt by every request that fell into it.
The load reports its own lateness too, by which its figures can be judged. Runs as a process of its own on a core of its
own (`python -m bench.load.open_loop`: reads a line of JSON, waits until its input is closed, writes an object), before
all ordinary processes where the system allows it.
"""

import gc
import json
import select
import signal
import sys
import time
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.errors import MeasurementError
from bench.load.connection import Connection, build_request, is_correct
from bench.load.cores import go_first
from bench.load.keys import draw_ids
from bench.load.statistics import summarize_durations

DRAWN = 200_000
MOST_CONNECTIONS = 256
"""Beyond these a request waits, and its latency keeps counting."""

KEEP_SECONDS = 2.0
"""How long a connection may idle before it is replaced: servers close theirs after a few seconds."""

PATIENCE_SECONDS = 10.0
LIMIT_MS = 10.0
MOST_OUTLIERS = 2000
PRIORITY = 20


@dataclass(frozen=True, slots=True)
class OpenLoad:
    """What to ask for.

    Args:
        port: of 127.0.0.1.
        rate: requests a second.
        seconds: for how long; SIGTERM ends it earlier.
        users: how many users there are.
        checked: whether answers are compared with what was asked for; a constant's cannot be.
    """

    port: int
    rate: float
    seconds: float
    users: int
    checked: bool = True


class Loop:
    """One run of a load."""

    def __init__(self, load: OpenLoad) -> None:
        self._load = load
        self._ids = draw_ids(load.users, min(DRAWN, int(load.rate * load.seconds) + 1))
        self._requests = [build_request(user_id) for user_id in self._ids]
        self._idle: list[tuple[float, Connection]] = []
        self._busy: list[Connection] = []
        self._latency_ms = array("d")
        self._late_ms = array("d")
        self._outliers: list[dict[str, float]] = []
        self._begin = self._interval = 0.0
        self.sent = self.failed = self.wrong = 0
        self.stopping = False

    def run(self) -> None:
        """Send everything, and wait for what is on its way."""
        load = self._load
        self._interval = 1 / load.rate
        self._begin = time.monotonic() + 0.05
        total = int(load.rate * load.seconds)
        while self.sent < total and not self.stopping:
            wait = self._begin + self.sent * self._interval - time.monotonic()
            if wait > 0:
                self._receive(wait)
            elif len(self._busy) < MOST_CONNECTIONS:
                self._send_next()
            else:
                self._receive(PATIENCE_SECONDS)
        patient_until = time.monotonic() + PATIENCE_SECONDS
        while self._busy and time.monotonic() < patient_until:
            self._receive(0.1)
        self.failed += len(self._busy)
        for connection in (*self._busy, *(idle for _, idle in self._idle)):
            connection.close()

    def _send_next(self) -> None:
        """Send the request that is due."""
        connection = self._connection()
        connection.send(self._requests[self.sent % len(self._requests)], self.sent)
        self._busy.append(connection)
        due = self._begin + self.sent * self._interval
        self._late_ms.append(1000 * (time.monotonic() - due))
        self.sent += 1

    def _connection(self) -> Connection:
        while self._idle:
            since, connection = self._idle.pop()
            if time.monotonic() - since < KEEP_SECONDS:
                return connection
            connection.close()
        return Connection(self._load.port)

    def _receive(self, seconds: float) -> None:
        readable, _, _ = select.select(self._busy, (), (), seconds)
        for connection in readable:
            try:
                answer = connection.receive()
            except MeasurementError:
                self.failed += 1
                self._busy.remove(connection)
                connection.close()
                continue
            if answer is None:
                continue
            self._busy.remove(connection)
            now = time.monotonic()
            self._idle.append((now, connection))
            self._count(connection.asked_for, now)
            user_id = self._ids[connection.asked_for % len(self._ids)]
            if self._load.checked and not is_correct(answer, user_id):
                self.wrong += 1

    def _count(self, number: int, now: float) -> None:
        due = self._begin + number * self._interval
        latency_ms = 1000 * (now - due)
        self._latency_ms.append(latency_ms)
        if latency_ms > LIMIT_MS and len(self._outliers) < MOST_OUTLIERS:
            late_ms = self._late_ms[number]
            self._outliers.append({"due": due, "latencyMs": round(latency_ms, 3), "lateMs": round(late_ms, 3)})

    def report(self) -> dict[str, Any]:
        """Return what happened, for JSON."""
        answered: Sequence[float] = self._latency_ms
        return {
            "sent": self.sent,
            "answered": len(answered),
            "failed": self.failed,
            "wrong": self.wrong,
            "latencyMs": summarize_durations(answered).report(),
            "lateMs": summarize_durations(self._late_ms).report(),
            "over10Ms": sum(latency_ms > LIMIT_MS for latency_ms in answered),
            "outliers": self._outliers,
        }


def main() -> None:
    """Read what to do from standard input, do it, and write what happened to standard output."""
    load = OpenLoad(**json.loads(sys.stdin.readline()))
    loop = Loop(load)

    def stop(*_: object) -> None:
        loop.stopping = True

    signal.signal(signal.SIGTERM, stop)
    went_first = go_first(PRIORITY)
    gc.freeze()
    gc.disable()
    sys.stdin.read()  # closed by the process that started this one when the load is to begin
    loop.run()
    json.dump({**asdict(load), "wentFirst": went_first, **loop.report()}, sys.stdout)


if __name__ == "__main__":
    main()
