"""A first build: no client is told that a user does not exist who does, nor a count that is not the final one.

The sources are filled beforehand, so every answer has one right form from the start. Joiners are killed, and a second
one comes and goes, at points of the build that the reader itself reports.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from bench.build.clients import Client, Record
from bench.chaos.fleet import Fleet
from bench.errors import MeasurementError
from bench.joiner.backlog import Backlog
from bench.joiner.workload import Workload
from bench.reader.services import reader_service
from bench.results import ProgressPrinter

PATIENCE_SECONDS = 300.0
AFTER_SECONDS = 5.0
PASS_PERCENT = 95.0
"""What a reader says once parts write their users; shown sooner where only some of them do."""

LAST_KILL_PERCENT = 90.5
SECOND_JOINS_PERCENT, SECOND_LEAVES_PERCENT = 15.0, 60.0


class Form(NamedTuple):
    """What happens in the build.

    Args:
        name: for people.
        kills: how often the joiner is SIGKILLed, and started again at once; the last time in the pass.
        second: whether a second joiner joins, and leaves.
    """

    name: str
    kills: int
    second: bool

    def plan(self) -> Iterator[tuple[float, Callable[[Fleet], None]]]:
        """Yield (percent of the build, what is done there), in order."""
        steps: list[tuple[float, Callable[[Fleet], None]]] = []
        if self.second:
            steps += [(SECOND_JOINS_PERCENT, _join_second), (SECOND_LEAVES_PERCENT, _leave_second)]
        apart = LAST_KILL_PERCENT / self.kills if self.kills else 0
        steps += [(apart * number, _kill_first) for number in range(1, self.kills + 1)]
        yield from sorted(steps, key=lambda step: step[0])


def _join_second(fleet: Fleet) -> None:
    fleet.start(1)


def _leave_second(fleet: Fleet) -> None:
    fleet.stop(1)


def _kill_first(fleet: Fleet) -> None:
    fleet.kill(0)
    fleet.start(0)


def judge_final(workload: Workload) -> Callable[[int, Record | None], str | None]:
    """Return what says whether a record is the final one of its user."""

    def judge(user: int, record: Record | None) -> str | None:
        if record is None:
            return "404 for a user that exists"
        final = {"username": f"user{user}", **dict(zip(workload.keys, workload.counts[user], strict=True))}
        return None if all(record[key] == value for key, value in final.items()) else f"should have {final}"

    return judge


def run_first(backlog: Backlog, folder: Path, form: Form, progress: ProgressPrinter) -> dict[str, object]:
    """Start joiner and reader on full sources, ask until every user was compared; return a row of a table.

    Args:
        backlog: the sources; joiner and reader have topics of their own in that Kafka.
        folder: for state and logs.
        form: what happens meanwhile.
        progress: shows how far it is.

    Raises:
        MeasurementError: an answer was wrong, or the build did not end.
    """
    kafka, workload = backlog.kafka, backlog.workload
    prefix = f"{form.name.replace(' ', '-')}-"
    fleet = Fleet(backlog.topics.admin, kafka.bootstrap_servers, folder, prefix)
    reader = reader_service(folder / f"{prefix}reader", kafka.bootstrap_servers, f"{prefix}user-info")
    client = Client(reader.port, workload.users, judge_final(workload), seed=workload.seed)
    began, made = time.monotonic(), backlog.topics.names()
    try:
        fleet.start(0)
        reader.command.start(lambda: True)
        with client:
            for percent, action in form.plan():
                _await(client, fleet, percent, progress, f"{form.name}: next at {percent:.0f} %")
                action(fleet)
            _await(client, fleet, None, progress, form.name)
            seconds = time.monotonic() - began
            time.sleep(AFTER_SECONDS)
        for user in range(1, workload.users + 1):
            client.ask(user)
        client.require_right(form.name)
    finally:
        client.stop()
        reader.command.stop()
        fleet.kill_all()
    backlog.topics.delete(backlog.topics.names() - made)
    return {
        "in the build": form.name,
        "SIGKILLs": form.kills,
        "first answer s": round(seconds, 1),
        **client.answers.to_row(),
        "ended by themselves": len(fleet.ended_by_themselves),
    }


def _await(client: Client, fleet: Fleet, percent: float | None, progress: ProgressPrinter, what: str) -> None:
    """Wait until so much of the build is done; None: until the reader answers."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while client.answers.compared == 0 if percent is None else client.percent < percent:
        fleet.supervise()
        progress(f"{what}: {client.percent:.0f} % built, {client.answers.requests:,} requests")
        if client.answers.faults:
            client.require_right(what)
        if percent is not None and client.answers.compared:
            raise MeasurementError(
                f"the build was over before {percent:.0f} % of it were seen", hint="give it more --rows"
            )
        if time.monotonic() > deadline:
            raise MeasurementError(f"{what}: not reached in {PATIENCE_SECONDS:g} s; reported: {client.percent:.0f} %")
        time.sleep(0.01)
