"""A reader that is asked continuously while rows change: no response is missing, and none is wrong."""

from collections import Counter
from types import TracebackType

import httpx
import psycopg

from shared.threads import BackgroundThread
from tests.support.service import Record, Service

INTERVAL_SECONDS = 0.05


def may_follow(before: Record, record: Record, most: int) -> bool:
    """Say whether a record may come after another, where a user has had so many tweets written, and nothing else."""
    count = int(str(record["tweetCount"]))
    return int(str(before["tweetCount"])) <= count <= most and record == {**before, "tweetCount": count}


class ContinuousReads(BackgroundThread):
    """Writes tweets and reads users until it ends; then every response must be one that SQL gave at some time.

    Tweets only come, so a count that was seen is never followed by a smaller one, nor by one that is larger than what
    was written. All else of a record stays.

    Args:
        service: whose reader is asked; no other program writes tweets meanwhile.
    """

    def __init__(self, service: Service) -> None:
        super().__init__("vigil")
        self._service = service
        self._faults: list[str] = []
        self._asked = 0

    def _run(self) -> None:
        seen = self._service.truth()
        most = Counter({user: int(str(record["tweetCount"])) for user, record in seen.items()})
        users = list(seen)
        with psycopg.connect(self._service.dsn, autocommit=True) as connection, httpx.Client(timeout=30) as client:
            while not self.stopping.wait(INTERVAL_SECONDS):
                turn = self._asked % len(users)
                most[users[turn]] += 1  # before it is written: it may be seen at once
                connection.execute("INSERT INTO tweets (user_id) VALUES (%s)", (users[turn],))
                # Half the circle away: what that user was given has had time to come.
                asked = users[turn - len(users) // 2]
                record = self._answer(client, asked)
                if record is not None and not may_follow(seen[asked], record, most[asked]):
                    self._faults.append(f"{record} after {seen[asked]}, with {most[asked]} tweets written")
                seen[asked] = record or seen[asked]
                self._asked += 1

    def _answer(self, client: httpx.Client, user: str) -> Record | None:
        try:
            answer = client.get(f"http://127.0.0.1:{self._service.reader_port}/users/{user}")
        except httpx.HTTPError as error:
            self._faults.append(f"user {user}: {error!r}")
            return None
        if answer.status_code != httpx.codes.OK:
            self._faults.append(f"user {user}: {answer.status_code} {answer.text}")
            return None
        record: Record = answer.json()
        return record

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; where the test has not failed by itself, see that all answers were right."""
        super().__exit__(kind, error, trace)
        if error is None:
            assert [] == self._faults
            assert self._asked > 0
