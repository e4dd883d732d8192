"""Clients that ask a reader for random users while its records are built, and judge every answer.

What an answer may say is decided by whoever gives the judge. Here is what is never right: another status than 200, 404
and 503, and a 503 or a broken connection once the reader has answered for the first time.
"""

import json
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple

from bench.errors import MeasurementError
from bench.service.probes import RepeatedTask

Record = Mapping[str, Any]

Judge = Callable[[int, Record | None], str | None]
"""Returns what is wrong with a user's record, or with there being none; None: nothing."""

ASK_SECONDS = 0.002
SHOWN_FAULTS = 5


class ReaderConnection:
    """A kept-alive connection to one reader.

    Args:
        port: of 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=10)

    def ask(self, user: int) -> tuple[int, Record]:
        """Return status and body of the answer about a user.

        Raises:
            OSError, HTTPException: no server answers; the next call connects again.
        """
        try:
            self._connection.request("GET", f"/users/{user}")
            answer = self._connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, HTTPException):
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@dataclass
class Answers:
    """What came back.

    Args:
        requests: how many were made.
        refused: those that found no server: its process was still starting.
        not_ready: answers 503.
        compared: answers 200 and 404, each of which was judged.
        unknown: those of them that were 404.
        faults: what was wrong, one line for each wrong answer.
    """

    requests: int = 0
    refused: int = 0
    not_ready: int = 0
    compared: int = 0
    unknown: int = 0
    faults: list[str] = field(default_factory=list)

    def to_row(self) -> dict[str, object]:
        """Return columns of a table."""
        return {
            "requests": self.requests,
            "no server yet": self.refused,
            "503": self.not_ready,
            "compared": self.compared,
            "of them 404": self.unknown,
            "false": len(self.faults),
        }


class Answer(NamedTuple):
    """What a reader says of a user; `record` is None where there is no such user."""

    record: Record | None


class Client(RepeatedTask):
    """Asks one reader for users drawn at random.

    Args:
        port: of the reader.
        users: ids are 1 to this.
        judge: of every answer 200 and 404.
        seed: draws the users.
        has_answered: True if the reader was ready before.
    """

    def __init__(self, port: int, users: int, judge: Judge, seed: int, *, has_answered: bool = False) -> None:
        super().__init__(f"client of {port}", ASK_SECONDS)
        self.answers = Answers()
        self.percent = 0.0
        """How much of the build is done, as the newest 503 of a reader that waits for it says."""
        self._users = users
        self._judge = judge
        self._has_answered = has_answered
        self._chance = random.Random(seed)
        self._connection = ReaderConnection(port)

    def run_once(self) -> None:
        """Ask for one user."""
        self.ask(self._chance.randint(1, self._users))

    def ask(self, user: int) -> Answer | None:
        """Ask for a user, and judge the answer; None: there was none. To be called by one thread at a time."""
        answers = self.answers
        answers.requests += 1
        try:
            status, body = self._connection.ask(user)
        except (OSError, HTTPException) as error:
            answers.refused += 1
            self._note_absence(user, repr(error))
            return None
        if status == 503:
            answers.not_ready += 1
            if body["state"] == "building":
                self.percent = body["percent"] or self.percent
            self._note_absence(user, f"503 {body}")
            return None
        answers.compared += 1
        answers.unknown += status == 404
        self._has_answered = True
        record = body if status == 200 else None
        wrong = self._judge(user, record) if status in {200, 404} else f"status {status}"
        if wrong is not None:
            answers.faults.append(f"user {user}: {wrong}: {body}")
        return Answer(record)

    def _note_absence(self, user: int, what: str) -> None:
        if self._has_answered:
            self.answers.faults.append(f"user {user}: {what}, though the reader had answered before")

    def require_right(self, what: str) -> None:
        """Make sure that there were answers, and none was wrong.

        Args:
            what: was going on meanwhile, for the message.

        Raises:
            MeasurementError: there were none, or some were wrong; carries the first ones.
        """
        faults = self.answers.faults
        if faults:
            first = "\n".join(f"  {fault}" for fault in faults[:SHOWN_FAULTS])
            raise MeasurementError(f"{what}: {len(faults)} of {self.answers.compared} answers are wrong:\n{first}")
        if self.error is not None or self.answers.compared == 0:
            raise MeasurementError(f"{what}: the client has broken off, or was never answered: {self.error!r}")

    def stop(self) -> None:
        """End the thread, and close the connection."""
        super().stop()
        with suppress(OSError):
            self._connection.close()
