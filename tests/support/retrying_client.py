"""A client that asks another reader where one does not answer, and readers that are killed under it."""

import http.client
import random
import time
from collections.abc import Sequence
from functools import partial

import psutil

from shared.threads import BackgroundThread
from tests.support.consistency import Observation, RecordId
from tests.support.readers import Reader
from tests.support.waiting import wait_for

PATIENCE_SECONDS = 60.0
"""How long one request may go from reader to reader."""

ASK_SECONDS = 0.002
"""Between an answer and the next request."""

RETRY_SECONDS = 0.01

PAUSE_SECONDS = 1.0
"""Between two kills, at the most."""

MOST_DOWN = 2
RESTLESS = 0.1
"""How likely a client goes over to another reader for no reason."""

UNANSWERED = (OSError, http.client.HTTPException)


class RetryingClient(BackgroundThread):
    """Asks for users one after another, until it is stopped; stays with a reader for as long as that answers.

    Args:
        ports: of the readers.
        users: whom to ask for.
        careful: whether it asks for nothing older than it has seen, by If-Min-Offset.
        seed: of what it chooses.
    """

    def __init__(self, ports: Sequence[int], users: Sequence[bytes], seed: int, *, careful: bool) -> None:
        super().__init__(f"client-{seed}")
        self.answers: list[Observation] = []
        self.behind = self.moves = 0
        self.whom: set[int] = set()
        self.unanswered: bytes | None = None
        self._ports = ports
        self._users = users
        self._careful = careful
        self._chance = random.Random(seed)
        self._reader = 0
        self._connection: http.client.HTTPConnection | None = None
        self._seen: dict[int, int] = {}

    def forget_whom(self) -> None:
        """Forget which readers have answered, to note them in `whom` again."""
        self.whom = set()

    def _run(self) -> None:
        while self.unanswered is None and not self.stopping.wait(ASK_SECONDS):
            if self._chance.random() < RESTLESS:
                self._move()
            self._ask_until_answered(self._chance.choice(self._users))
        self._move()

    def _ask_until_answered(self, user: bytes) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while not self._ask(user):
            self._move()
            self.stopping.wait(RETRY_SECONDS)
            if time.monotonic() > until:
                self.unanswered = user
                return

    def _move(self) -> None:
        """Go over to another reader."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._reader = (self._reader + self._chance.randrange(1, len(self._ports))) % len(self._ports)
        self.moves += 1

    def _ask(self, user: bytes) -> bool:
        """Ask the present reader; return whether it has answered."""
        asked = dict(self._seen) if self._careful else {}
        headers = {"If-Min-Offset": ", ".join(f"{p}:{offset}" for p, offset in asked.items())} if asked else {}
        began = time.monotonic()
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._ports[self._reader], timeout=10)
            self._connection.request("GET", f"/users/{user.decode()}", headers=headers)
            answer = self._connection.getresponse()
            body = answer.read()
        except UNANSWERED:
            return False
        if answer.status == http.client.SERVICE_UNAVAILABLE:
            self.behind += b"behind" in body
            return False
        assert answer.status in {200, 404}, (answer.status, body)
        stated = _parse_record_id(answer.headers["User-Info-Offset"])
        if stated is not None:
            self._seen[stated[0]] = max(stated[1], self._seen.get(stated[0], -1))
        about = (began, time.monotonic(), self._reader, user)
        if answer.status == http.client.OK:
            self.answers.append(Observation(*about, stated, body, asked))
        else:
            self.answers.append(Observation(*about, None, b"", asked, absent_at=stated))
        self.whom.add(self._reader)
        return True


def _parse_record_id(header: str | None) -> RecordId | None:
    if header is None:
        return None
    partition, _, offset = header.partition(":")
    return int(partition), int(offset)


class ReaderChaos:
    """Readers that are killed and started again, at random moments and in a random order.

    Args:
        readers: all of them running; the last one has workers.
        seed: of the moments and the order.
    """

    def __init__(self, readers: Sequence[Reader], seed: int) -> None:
        self._readers = readers
        self._chance = random.Random(seed)
        self._down: list[Reader] = []

    def run(self, kills: int, workers: int) -> None:
        """Kill each reader and single workers so many times; in the end all have been started."""
        actions = [partial(self._kill, reader) for reader in self._readers for _ in range(kills)]
        actions += [partial(self._kill_a_worker, self._readers[-1])] * workers
        self._chance.shuffle(actions)
        for action in actions:
            action()
            if len(self._down) == MOST_DOWN:
                self._start(self._down[0])
            time.sleep(self._chance.uniform(0, PAUSE_SECONDS))  # the moment is what is tried, not waited for
        while self._down:
            self._start(self._down[0])

    def _start(self, reader: Reader) -> None:
        self._down.remove(reader)
        reader.start()

    def _kill(self, reader: Reader) -> None:
        if reader in self._down:
            self._start(reader)
            reader.await_state("ready", 60)
        workers = reader.workers()
        reader.kill()
        self._down.append(reader)
        psutil.wait_procs(workers, timeout=30)  # until then its port is taken

    def _kill_a_worker(self, reader: Reader) -> None:
        if reader in self._down:
            self._start(reader)
        workers = wait_for(reader.workers, 60, "a worker to kill")
        self._chance.choice(workers).kill()
