"""A client that asks any joiner for users, and goes where it is sent."""

import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence

import httpx
from confluent_kafka import Message

from shared.threads import BackgroundThread
from tests.support.consistency import History, Observation, Written

ASK_SECONDS = 0.002
"""Between an answer and the next request."""

ANSWERED = {httpx.codes.OK, httpx.codes.NOT_FOUND}


class RedirectedClient(BackgroundThread):
    """Asks for users one after another, each time another joiner, until it is stopped.

    Args:
        urls: of the joiners.
        users: whom to ask for.
        seed: of what it chooses.
        patience_seconds: how long it waits for an answer.
    """

    def __init__(self, urls: Sequence[str], users: Sequence[bytes], seed: int, patience_seconds: float) -> None:
        super().__init__(f"client-{seed}")
        self.answers: list[Observation] = []
        """Of which no answer says yet which record it is: see `identify`."""
        self.answered: Counter[str] = Counter()
        """Address of a joiner -> how often it has answered."""
        self.states: Counter[int] = Counter()
        self.redirected = 0
        self.faults: list[str] = []
        self._urls = urls
        self._users = users
        self._chance = random.Random(seed)
        self._patience_seconds = patience_seconds

    def _run(self) -> None:
        with httpx.Client(follow_redirects=True, timeout=self._patience_seconds) as client:
            while not self.stopping.wait(ASK_SECONDS):
                self._ask(client, self._chance.choice(self._urls), self._chance.choice(self._users))

    def _ask(self, client: httpx.Client, url: str, user: bytes) -> None:
        began = time.monotonic()
        try:
            answer = client.get(f"{url}/users/{user.decode()}")
        except httpx.TransportError:
            return  # nobody there, or one that is paused; whoever asks again is answered
        except httpx.HTTPError as error:
            self.faults.append(f"{user!r}: {error!r}")
            return
        self.states[answer.status_code] += 1
        self.redirected += bool(answer.history)
        if answer.status_code in ANSWERED:
            body = answer.content if answer.status_code == httpx.codes.OK else b""
            self.answers.append(Observation(began, time.monotonic(), 0, user, None, body, {}))
            self.answered[f"{answer.url.scheme}://{answer.url.netloc.decode()}"] += 1
        elif answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or "Retry-After" not in answer.headers:
            self.faults.append(f"{user!r}: {answer.status_code} {answer.text}")


def tell_histories(messages: Iterable[Message]) -> dict[bytes, History]:
    """Return all that a topic had of each user."""
    histories: dict[bytes, History] = {}
    for message in messages:
        key, partition, offset = message.key() or b"", message.partition(), message.offset()
        assert partition is not None and offset is not None  # noqa: PT018 - what a record always has
        histories.setdefault(key, History(partition, [])).written.append(Written(offset, message.value()))
    return histories


def identify(answer: Observation, history: History) -> Observation:
    """Return an answer with the record that it is, where no two records of a user are alike.

    One that no record says is given a place where none is.
    """
    if not answer.body:
        return answer
    offset = next((one.offset for one in history.written if one.value == answer.body), -1)
    about = (answer.began, answer.ended, answer.reader, answer.user)
    return Observation(*about, (history.partition, offset), answer.body, {})
