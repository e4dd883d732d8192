"""Joiners that answer for users themselves: the newest committed record, whichever of them is asked, or none."""

import json
import random
import signal
import socket
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import httpx
import pytest

from joiner.queries.claims import Claim, claim_key
from shared.clock import now_ms
from shared.threads import BackgroundThread
from tests.support.consistency import NEVER_WRITTEN, find_violations
from tests.support.http import exchange, read_all
from tests.support.joiners import Joiner, Joiners
from tests.support.redirected_client import RedirectedClient, identify, tell_histories
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

PARTS = 4
USERS = [f"user/{number}" for number in range(12)]
PATHS = {user: f"/users/{user.replace('/', '%2F')}" for user in USERS}


def add(joiners: Joiners, **settings: str) -> Joiner:
    """Make one more joiner that answers for users, not started yet."""
    joiner = joiners.add(JOINER_SERVES_USERS="true", USER_INFO_PARTITIONS=str(PARTS), **settings)
    joiner.environment["JOINER_ADVERTISED_URL"] = joiner.url
    return joiner


def write(topics: Topics, version: int, users: Sequence[str] = USERS) -> None:
    """Write users' rows, of which no two are alike."""
    for user in users:
        topics.put("users", user_id=user, username=f"{version}")
    topics.flush()


def await_served(*joiners: Joiner) -> None:
    """Wait until each partition is answered for by one of these joiners, and all of them know by which."""
    urls = {joiner.url for joiner in joiners}

    def known() -> bool:
        try:
            listed = [joiner.get("/partitions").json()["partitions"] for joiner in joiners]
        except httpx.TransportError:
            return False  # it has just been started
        served = sorted(each["partition"] for partitions in listed for each in partitions if each["servedHere"])
        told = {tuple(each["url"] for each in partitions) for partitions in listed}
        return served == list(range(PARTS)) and len(told) == 1 and urls >= {*told.pop()}

    wait_for(known, 60, "each partition answered for by one joiner, and all knowing it")


def ask(joiner: Joiner, path: str) -> httpx.Response:
    """Return the answer about a user, wherever this joiner sends the request; on a busy machine a lease may run out."""

    def answer() -> httpx.Response | None:
        given = httpx.get(f"{joiner.url}{path}", follow_redirects=True, timeout=30)
        return None if given.status_code == httpx.codes.SERVICE_UNAVAILABLE else given

    given = wait_for(answer, 60, "an answer")
    assert given is not None
    return given


def is_building(joiner: Joiner) -> bool:
    """Return whether a joiner says of users that they are being built; none is answered for."""
    answers = [joiner.get(path) for path in PATHS.values()]
    assert {(503, "1")} == {(answer.status_code, answer.headers.get("Retry-After")) for answer in answers}
    return "building" in {answer.json()["state"] for answer in answers}


def ends_with_heartbeat(topics: Topics) -> bool:
    """Write a heartbeat as Debezium does, and return whether the build is over."""
    envelope = {"before": None, "after": {"heartbeat_id": 1}, "op": "u", "source": {"ts_ms": now_ms() - 1_000}}
    topics.write("heartbeats", b'{"heartbeat_id": 1}', json.dumps(envelope).encode())
    return topics.user_info() == topics.truth()


def test_either_of_two_joiners_answers_for_all_users(joiners: Joiners) -> None:
    """In the bytes of user-info, itself or by a redirect; a claim that is wrong misleads nobody for long."""
    topics = joiners.topics
    topics.create_sources()
    topics.create("heartbeats", partitions=1)
    # 1. While the build waits, here for a heartbeat that has not come, nothing half-built is shown.
    both = [add(joiners, HEARTBEATS_TOPIC=topics.name("heartbeats")) for _ in range(2)]
    for joiner in both:
        joiner.start()
    write(topics, 1)

    for joiner in both:
        joiner.wait_until_ready()
        wait_for(partial(is_building, joiner), 60, "the build seen")

    # 2. Once it is over, each user is answered for by one, and found through the other.
    wait_for(partial(ends_with_heartbeat, topics), 60, "the build over")
    await_served(*both)
    joiners.await_truth()
    records = topics.latest("user-info")
    assert {user.encode() for user in USERS} == set(records)
    for user in USERS:
        answers = [ask(joiner, PATHS[user]) for joiner in both]
        assert [(200, records[user.encode()])] * 2 == [(answer.status_code, answer.content) for answer in answers]
        assert 1 == sum(bool(answer.history) for answer in answers)
    assert {404} == {ask(joiner, "/users/nobody").status_code for joiner in both}

    # 3. A claim that came late, of a joiner that has lost the partition: its owner claims it again.
    late = Claim("9", "http://127.0.0.1:1")
    for part in range(PARTS):
        topics.send("joiner-ledger", claim_key(part), late.encode())
    topics.flush()
    await_served(*both)

    # 4. Who leaves is answered for by the other one.
    assert 0 == both[1].stop()
    await_served(both[0])
    assert {(200, False)} == {
        (answer.status_code, bool(answer.history)) for answer in (ask(both[0], path) for path in PATHS.values())
    }


def pause_until_taken_over(paused: Joiner, other: Joiner) -> set[bytes]:
    """Stop a joiner for longer than its session, then let it continue until it ends.

    Returns:
        the status lines of what it has answered since, to requests that had waited and to later ones.
    """
    held = [path for path in PATHS.values() if not paused.get(path).has_redirect_location]
    assert held
    received: list[bytes] = []
    paused.signal(signal.SIGSTOP)
    with ExitStack() as waiting:
        for path in held * 20:  # they wait where the system has accepted them
            connection = waiting.enter_context(socket.create_connection(("127.0.0.1", paused.port), timeout=60))
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            thread = threading.Thread(target=lambda one=connection: received.append(read_all(one)))
            thread.start()
            waiting.callback(thread.join, 60)
        await_served(other)
        paused.signal(signal.SIGCONT)
    while paused.running:
        received += [_ask_once(paused, path) for path in held]
    return {answer.split(b"\r\n")[0] for answer in received if answer}


def _ask_once(joiner: Joiner, path: str) -> bytes:
    try:
        return exchange(joiner.port, f"GET {path} HTTP/1.0\r\n\r\n".encode())
    except OSError:
        return b""  # it ends at this moment


def test_no_answer_goes_back_whatever_becomes_of_joiners(joiners: Joiners) -> None:
    """Killed, paused, joined by another, stopped: clients that go where they are sent see each user only move on."""
    topics = joiners.topics
    topics.create_sources()
    three = [add(joiners) for _ in range(3)]
    for joiner in three[:2]:
        joiner.start()
    write(topics, 1)
    await_served(*three[:2])
    joiners.await_truth()
    urls, users = [joiner.url for joiner in three], [user.replace("/", "%2F").encode() for user in USERS]
    clients = [RedirectedClient(urls, users, seed, patience) for seed, patience in ((1, 1.0), (2, 1.0), (3, 30.0))]
    with _Changes(topics), ExitStack() as asking:
        for client in clients:
            asking.enter_context(client)
        # 1. Killed, and back at once as the same member.
        three[0].kill()
        three[0].start()
        await_served(*three[:2])
        # 2. Paused for longer than its session, until the other one has taken over; then it continues, and ends.
        assert {b"HTTP/1.1 503 Service Unavailable"} >= pause_until_taken_over(three[1], three[0])
        assert 1 == three[1].wait(60)
        # 3. A third one comes, the second one comes back, the first one leaves.
        three[2].start()
        three[1].start()
        await_served(*three)
        assert 0 == three[0].stop()
        await_served(*three[1:])
    joiners.await_truth()
    histories = tell_histories(topics.messages("user-info"))
    histories = {user.replace(b"/", b"%2F"): history for user, history in histories.items()}
    answers = [
        identify(answer, histories.get(answer.user, NEVER_WRITTEN)) for client in clients for answer in client.answers
    ]
    assert [] == [fault for client in clients for fault in client.faults]
    assert [] == find_violations(histories, answers)
    assert {url for client in clients for url in client.answered} == set(urls)
    assert all(client.redirected for client in clients)
    assert any(not answer.body for answer in answers)
    assert any(answer.body for answer in answers)


class _Changes(BackgroundThread):
    """Changes of users that go on until its end, no two of them alike, deletions included."""

    def __init__(self, topics: Topics) -> None:
        super().__init__("changes")
        self._topics = topics
        self._chance = random.Random(5)

    def _run(self) -> None:
        version = 1
        while not self.stopping.wait(0.01):
            version += 1
            user = self._chance.choice(USERS)
            if self._chance.random() < 0.1:
                self._topics.delete("users", user)
            else:
                self._topics.put("users", user_id=user, username=f"{version}")
