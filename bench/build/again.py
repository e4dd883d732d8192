"""Rebuilds under changes: what readers show was true at some moment, never one before what they have shown already.

Each run deletes users, some without a trace in their topic, resets the joiner, and has it join everything again while
rows change. One reader stays, another starts from nothing in the middle of it; a client of each asks all the while.
"""

import random
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.build.clients import Answers, Client
from bench.build.history import ChangingTables, HistoryJudge
from bench.chaos.fleet import Fleet
from bench.chaos.tables import Load
from bench.errors import MeasurementError
from bench.joiner.topics import Topics
from bench.reader.services import Service, reader_service

PATIENCE_SECONDS = 120.0
FORGOTTEN = 10
MOST_KILL_SECONDS = 7.0
"""Into a run: a joiner has then started, joined, and written most of its pass."""

COMPLETE = "the build is complete"


@dataclass
class Run:
    """What one run saw.

    Args:
        seed: drew its changes.
        killed_at: seconds after its start at which the joiner was SIGKILLed; None: it was not.
        changes: made meanwhile.
        seconds: from the stop of the old joiner until everything was shown.
        deleted: users that were deleted before.
        answers: of both readers.
    """

    seed: int
    killed_at: float | None
    changes: int
    seconds: float
    deleted: int
    answers: list[Answers]

    def to_row(self) -> dict[str, object]:
        """Return a row of a table."""
        names = list(self.answers[0].to_row())
        added = {name: sum(int(str(each.to_row()[name])) for each in self.answers) for name in names}
        killed = "-" if self.killed_at is None else f"{self.killed_at:.1f}"
        return {
            "seed": self.seed,
            "SIGKILL after s": killed,
            "seconds": round(self.seconds, 1),
            "changes": self.changes,
            "deleted before": self.deleted,
            **added,
        }


class Rebuilds:
    """Runs on one Kafka.

    Args:
        topics: of the Kafka; it has the sources.
        tables: what is in them.
        folder: for state and logs.
        rate: changes a second.
    """

    def __init__(self, topics: Topics, tables: ChangingTables, folder: Path, rate: float) -> None:
        self._topics = topics
        self._tables = tables
        self._fleet = Fleet(topics.admin, topics.bootstrap_servers, folder)
        self._load = Load(tables, rate)
        self._stays = reader_service(folder / "stays", topics.bootstrap_servers, "user-info")
        self._starts = reader_service(folder / "starts", topics.bootstrap_servers, "user-info")

    def run(self, seeds: range) -> Iterator[Run]:
        """Yield what each run saw.

        Raises:
            MeasurementError: an answer was wrong, or not all changes were shown in time; carries the seed.
        """
        with ExitStack() as parts:
            for stop in (self._fleet.kill_all, self._starts.command.stop, self._stays.command.stop, self._load.stop):
                parts.callback(stop)
            self._load.start()
            self._fleet.start(0)
            self._stays.command.start(lambda: True)
            self._await_built(0, "the first build")
            first = self._open_client(self._stays, 0)
            self._await_shown([first], "the first build")
            first.require_right("the first build")
            for seed in seeds:
                yield self._run_once(seed)

    def _open_client(self, reader: Service, seed: int, *, has_answered: bool = False) -> Client:
        judge = HistoryJudge(self._tables.history)
        return Client(reader.port, self._tables.users, judge, seed, has_answered=has_answered)

    def _run_once(self, seed: int) -> Run:
        began, made, built, what = time.monotonic(), self._tables.made, self._count_built(), f"seed {seed}"
        self._tables.turn(seed)
        clients = [self._open_client(self._stays, seed, has_answered=True), self._open_client(self._starts, seed + 1)]
        self._fleet.stop(0)
        with clients[0]:
            deleted = self._tables.forget(FORGOTTEN)
            self._load.resume()
            self._fleet.reset()
            self._fleet.start(0)
            self._renew_second_reader()
            with clients[1]:
                killed_at = self._kill_perhaps(random.Random(seed))
                self._await_built(built, what)
                self._load.pause()
                self._tables.flush()
        self._await_shown(clients, what)
        for client in clients:
            client.require_right(what)
        changes, seconds = self._tables.made - made, time.monotonic() - began
        return Run(seed, killed_at, changes, seconds, len(deleted), [client.answers for client in clients])

    def _kill_perhaps(self, chance: random.Random) -> float | None:
        """SIGKILL the joiner in every second run, and start it again; return after how many seconds."""
        if chance.random() < 0.5:
            return None
        seconds = chance.uniform(0, MOST_KILL_SECONDS)
        time.sleep(seconds)
        self._fleet.kill(0)
        self._fleet.start(0)
        return seconds

    def _renew_second_reader(self) -> None:
        self._starts.command.stop()
        shutil.rmtree(self._starts.command.environment["READER_STATE_DIR"], ignore_errors=True)
        self._starts.command.start(lambda: True)

    def _count_built(self) -> int:
        return self._fleet.logs()[0].read_text(errors="replace").count(COMPLETE)

    def _await_built(self, built: int, what: str) -> None:
        """Wait until the joiner has said more often than before that a build is complete."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._count_built() <= built:
            self._fleet.supervise()
            if time.monotonic() > deadline:
                raise MeasurementError(f"{what}: not built in {PATIENCE_SECONDS:g} s; see {self._fleet.logs()[0]}")
            time.sleep(0.1)

    def _await_shown(self, clients: list[Client], what: str) -> None:
        """Wait until every reader shows every user as SQL has it now, judging each answer."""
        for client in clients:
            deadline = time.monotonic() + PATIENCE_SECONDS
            left = list(self._tables.history)
            while left:
                answers = {user: client.ask(user) for user in left}
                left = [
                    user
                    for user, answer in answers.items()
                    if answer is None or not self._tables.wants(user, answer.record)
                ]
                if client.answers.faults:
                    client.require_right(what)
                if left and time.monotonic() > deadline:
                    raise MeasurementError(f"{what}: {len(left)} users are not shown as they are, such as {left[:5]}")
