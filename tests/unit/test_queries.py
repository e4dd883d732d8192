"""What a joiner answers for users, and when it answers nothing."""

import json
import socket
from collections.abc import Mapping
from typing import Any

import pytest

from joiner.background.progress import CommittedProgress
from joiner.core.build import Build, PartBuild
from joiner.core.users import UserState, encode_state, render_record
from joiner.kafka.ledger import caught_up_key, parse_notes
from joiner.metrics import Metrics
from joiner.queries.claims import Claim, claim_key, parse_claim
from joiner.queries.held_parts import (
    BUILDING,
    REBALANCING,
    RESTORING,
    STARTING,
    TAKING_OVER,
    UNCONFIRMED,
    HeldParts,
    Stored,
)
from joiner.queries.lease import HANDOVER_SECONDS, LEASE_SECONDS, RENEW_SECONDS, lasts
from joiner.queries.responses import UserQueries
from joiner.settings import JoinerSettings
from reader.http import problems
from replication.readiness import Readiness
from shared.clock import Moment
from shared.errors import SettingError
from shared.health import Reply, serve_health
from shared.listening import Endpoint
from shared.settings import read_settings
from shared.topics import partition_of
from tests.support.built_in import PLAN
from tests.support.http import exchange

OWN = Claim("0", "http://joiner-0:8001")
OTHER = Claim("1", "https://joiner-1.example/base")
ALICE = UserState(("alice", *[None] * 7), (1, 2, 3, 4), 5, None)
PARTS = 4


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = Moment(100.0, 1_000.0)

    def __call__(self) -> Moment:
        """Return the time."""
        return self.time

    def pass_seconds(self, monotonic: float, wall: float | None = None) -> None:
        """Let time pass, on the wall clock another one if that is given."""
        self.time = Moment(self.time.monotonic + monotonic, self.time.wall + (monotonic if wall is None else wall))


@pytest.mark.parametrize(
    ("monotonic", "wall", "holds"),
    [
        (0.0, 0.0, True),
        (LEASE_SECONDS - 0.1, LEASE_SECONDS - 0.1, True),
        (LEASE_SECONDS, LEASE_SECONDS, False),
        (0.1, 3_600.0, False),
        (LEASE_SECONDS, 0.1, False),
        (0.1, -0.1, False),
    ],
    ids=["at once", "late", "over", "machine suspended", "clock held back", "clock set back"],
)
def test_a_confirmation_lasts_by_both_clocks(monotonic: float, wall: float, *, holds: bool) -> None:
    """A machine that was suspended has one clock that says so, and a clock that was set ends it too early, not late."""
    began = Moment(50.0, 2_000.0)
    assert holds == lasts(began, Moment(50.0 + monotonic, 2_000.0 + wall))


def test_a_lease_is_over_before_the_next_joiner_answers() -> None:
    """Whatever happens to the former one: it answers no later than a lease after its last commit began."""
    assert RENEW_SECONDS * 2 < LEASE_SECONDS < HANDOVER_SECONDS


def test_a_part_is_answered_for_only_while_it_is_surely_held() -> None:
    """Not before it is restored, handed over, confirmed and joined; not once it may be somebody else's."""
    clock = Clock()
    held = HeldParts(clock)
    joined: set[int] = set()
    assert STARTING == held.find(1, b"alice")
    held.assign()
    assert RESTORING == held.find(1, b"alice")
    held.open({1: {b"alice": b"state"}.get}, joined.__contains__)
    assert held.needs_confirmation()
    held.confirm(clock.time)
    assert TAKING_OVER == held.find(1, b"alice")
    assert [] == held.list_served()
    clock.pass_seconds(HANDOVER_SECONDS)
    assert BUILDING == held.find(1, b"alice")
    assert [] == held.list_served()
    joined.add(1)
    assert UNCONFIRMED == held.find(1, b"alice")
    assert [] == held.list_served()
    held.confirm(clock.time)
    assert not held.needs_confirmation()
    assert (Stored(b"state"), Stored(None), None) == (held.find(1, b"alice"), held.find(1, b"bob"), held.find(2, b"x"))
    assert [1] == held.list_served()
    clock.pass_seconds(RENEW_SECONDS)
    assert held.needs_confirmation()
    assert [1] == held.list_served()
    held.release()
    assert REBALANCING == held.find(1, b"alice")
    assert not held.needs_confirmation()
    held.assign()
    held.open({}, joined.__contains__)
    clock.pass_seconds(HANDOVER_SECONDS)
    assert held.find(1, b"alice") is None
    assert not held.needs_confirmation()


def test_a_confirmation_does_not_outlive_its_assignment() -> None:
    """A commit of a former assignment says nothing of the present one."""
    clock = Clock()
    held = HeldParts(clock)
    held.assign()
    held.confirm(clock.time)
    held.assign()
    held.open({1: lambda _: None}, lambda _: True)
    assert held.needs_confirmation()


def test_what_was_read_before_a_pause_is_not_answered_after_it() -> None:
    """A process that is stopped between reading and answering finds its lease over when it continues."""
    clock = Clock()
    held = HeldParts(clock)

    def read(_: bytes) -> bytes:
        clock.pass_seconds(LEASE_SECONDS)
        return b"old by now"

    held.assign()
    held.open({1: read}, lambda _: True)
    clock.pass_seconds(HANDOVER_SECONDS)
    held.confirm(clock.time)
    assert UNCONFIRMED == held.find(1, b"alice")


def test_a_part_is_joined_once_all_that_the_sources_held_is() -> None:
    """What it leaves to the pass is in the state already; what has not been looked up yet counts as not joined."""
    progress = CommittedProgress()
    assert progress.has_joined(1)
    progress.build = Build("b")
    assert not progress.has_joined(1)
    for phase, joined in (("joining", False), ("writing", True), ("taking-back", True), ("whole", True)):
        progress.note_parts({1: PartBuild("b", phase)})  # type: ignore[arg-type]
        assert joined == progress.has_joined(1)


def test_claims_are_read_back_and_concern_nobody_else() -> None:
    """A ledger with claims is the same to who reads it for a state, and other notes are no claims."""
    assert (3, OTHER) == parse_claim(claim_key(3), OTHER.encode())
    assert parse_claim(claim_key(3), None) is None
    assert parse_claim(caught_up_key(("likes", 3)), b"1") is None
    assert parse_notes({}) == parse_notes({claim_key(3): OTHER.encode()})


def queries(users: Mapping[bytes, UserState], held: frozenset[int] = frozenset(range(PARTS))) -> UserQueries:
    """Return what answers for users, of whom some parts are this joiner's."""
    made = UserQueries(PLAN, OWN, Metrics())
    clock = Clock()
    made.held = HeldParts(clock)
    made.parts = PARTS
    made.held.assign()
    made.held.open({part: {user: encode_state(users[user]) for user in users}.get for part in held}, lambda _: True)
    clock.pass_seconds(HANDOVER_SECONDS)
    made.held.confirm(clock.time)
    return made


def get(asked: UserQueries, target: str, **fields: str) -> Reply:
    """Return the reply to a request."""
    reply = asked.respond(target, {name.replace("_", "-"): value for name, value in fields.items()}.get)
    assert reply is not None
    return reply


@pytest.mark.parametrize(
    ("user", "target"),
    [
        ("alice", "/users/alice"),
        ("alice", "/users/alice?whatever=1"),
        ("a/b", "/users/a%2Fb"),
        ("a+b c", "/users/a+b%20c"),
        ("zoë", "/users/zo%C3%AB"),
        ("zoë", "/users/zo\u00c3\u00ab"),  # as the server decodes bytes that are not encoded
        ("x" * 511, f"/users/{'x' * 511}"),
    ],
)
def test_a_user_is_the_bytes_of_the_record(user: str, target: str) -> None:
    """Those that the joiner writes to user-info, for every id in every spelling."""
    reply = get(queries({user.encode(): ALICE}), target)
    assert (200, render_record(PLAN, user, ALICE)) == (reply.status, reply.body)
    assert ("Content-Type", "application/json") in reply.fields


@pytest.mark.parametrize("target", ["/users/bob", "/users/gone", "/users/%FF", f"/users/{'x' * 512}"])
def test_no_such_user_is_what_a_reader_says(target: str) -> None:
    """No state, a state without a row, no UTF-8, and too long: the same document."""
    reply = get(queries({b"gone": UserState(None, (1, 0, 0, 0), 5, None)}), target)
    assert (404, problems.UNKNOWN_USER.body) == (reply.status, reply.body)


def test_what_is_not_ready_is_what_a_reader_says() -> None:
    """With Retry-After, and the state in place of the reader's."""
    asked = UserQueries(PLAN, OWN, Metrics())
    for parts in (0, PARTS):
        asked.parts = parts
        reply = get(asked, "/users/alice")
        expected = problems.not_ready(Readiness("starting", reason=STARTING.reason))
        assert (503, expected.body) == (reply.status, reply.body)
        assert ("Retry-After", "1") in reply.fields


def test_a_user_of_another_joiner_is_found_there() -> None:
    """In one step, under the same spelling; who was sent here is not sent on, so there is no endless loop."""
    asked = queries({}, frozenset())
    assert 503 == get(asked, "/users/a%2Fb").status
    part = partition_of(b"a/b", PARTS)
    asked.claims[part] = OTHER
    reply = get(asked, "/users/a%2Fb?x=1")
    assert (307, b"") == (reply.status, reply.body)
    assert ("Location", "https://joiner-1.example/base/users/a%2Fb?redirected") in reply.fields
    assert 503 == get(asked, "/users/a%2Fb?redirected").status
    asked.claims[part] = OWN  # a claim from before the part went elsewhere
    assert 503 == get(asked, "/users/a%2Fb").status


def test_a_redirect_holds_nothing_that_ends_a_header_line() -> None:
    """Whatever a request's target held."""
    asked = queries({}, frozenset())
    asked.claims = dict.fromkeys(range(PARTS), OTHER)
    reply = get(asked, '/users/\u00e9\r\nSet-Cookie:\u0000x"')
    assert ("Location", f"{OTHER.url}/users/%E9%0D%0ASet-Cookie:%00x%22?redirected") not in reply.fields
    assert 404 == reply.status  # no UTF-8
    reply = get(asked, '/users/e\r\nSet-Cookie:\u0000x"')
    assert ("Location", f"{OTHER.url}/users/e%0D%0ASet-Cookie:%00x%22?redirected") in reply.fields


@pytest.mark.parametrize("field", ["If_Min_Offset", "Max_Staleness_Seconds"])
def test_a_condition_that_a_joiner_cannot_check_is_refused(field: str) -> None:
    """An answer that ignored it might be older than what was asked for."""
    reply = get(queries({b"alice": ALICE}), "/users/alice", **{field: "1:1"})
    assert 400 == reply.status
    assert "urn:user-info:problem:bad-request" == json.loads(reply.body)["type"]


@pytest.mark.parametrize("path", ["/users", "/users/", "/users/a/b"])
def test_other_paths_of_users_are_no_route(path: str) -> None:
    """As a reader says of them, but for `/users` itself, which only readers answer."""
    reply = get(queries({}), path)
    assert (404, problems.unknown_route(path, "/users").body) == (reply.status, reply.body)


def test_other_paths_are_left_to_others() -> None:
    """Health and metrics stay what they are."""
    for path in ("/", "/readyz", "/metrics", "/usersx", "/partitionsx"):
        assert queries({}).respond(path, lambda _: None) is None


def test_partitions_are_listed_with_who_answers_for_them() -> None:
    """Its own by its own knowledge, others by their last claim, and null where there is none."""
    asked = queries({}, frozenset({0}))
    asked.claims = {0: OTHER, 1: OTHER}
    listed: dict[str, Any] = json.loads(get(asked, "/partitions").body)
    assert ("0", OWN.url, "running") == (listed["instance"], listed["url"], listed["state"])
    assert [
        {"partition": 0, "instance": "0", "url": OWN.url, "servedHere": True},
        {"partition": 1, "instance": "1", "url": OTHER.url, "servedHere": False},
        {"partition": 2, "instance": None, "url": None, "servedHere": False},
        {"partition": 3, "instance": None, "url": None, "servedHere": False},
    ] == listed["partitions"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "JOINER_ADVERTISED_URL"),
        ({"JOINER_ADVERTISED_URL": "joiner-0:8001"}, "JOINER_ADVERTISED_URL"),
        ({"JOINER_ADVERTISED_URL": "http://user@joiner-0:8001"}, "JOINER_ADVERTISED_URL"),
        ({"JOINER_ADVERTISED_URL": "http://joiner-0:8001/?a"}, "JOINER_ADVERTISED_URL"),
        ({"JOINER_ADVERTISED_URL": "http://joiner-0:8001/\r\nx"}, "JOINER_ADVERTISED_URL"),
        ({"JOINER_ADVERTISED_URL": OWN.url, "JOINER_HTTP_PORT": "0"}, "JOINER_HTTP_PORT"),
        ({"JOINER_ADVERTISED_URL": OWN.url, "JOINER_COMMIT_INTERVAL_MAX_SECONDS": "2"}, "COMMIT_INTERVAL"),
    ],
)
def test_settings_that_cannot_serve_are_refused(
    settings: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name: no address, none that a browser would follow, no port, and commits too rare for the lease."""
    for name, value in {"JOINER_SERVES_USERS": "true", **settings}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=named):
        read_settings(JoinerSettings)


@pytest.mark.parametrize("url", ["http://10.0.0.1:8001", "https://joiner-0.example/", "http://[::1]:8001/joiner/0"])
def test_addresses_are_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any that a Location may hold."""
    monkeypatch.setenv("JOINER_SERVES_USERS", "true")
    monkeypatch.setenv("JOINER_ADVERTISED_URL", url)
    assert url == read_settings(JoinerSettings).joiner_advertised_url


def test_a_connection_carries_one_request_after_another_and_none_in_a_body() -> None:
    """What looks like a request in a body, which nobody reads, is never answered as one."""
    asked = queries({b"alice": ALICE})
    port, *_ = serve_health(lambda _: (200, {}), lambda: b"", Endpoint("127.0.0.1", 0, "JOINER_HTTP"), asked.respond)
    head = b"GET /users/alice HTTP/1.1\r\nHost: x\r\n"
    received = exchange(port, head + b"\r\n" + b"HEAD" + head[3:] + b"\r\n" + head + b"Connection: close\r\n\r\n")
    record = render_record(PLAN, "alice", ALICE) or b""
    assert (3, 2) == (received.count(b"HTTP/1.1 200 OK"), received.count(record))
    hidden = head + b"Connection: close\r\n\r\n"
    received = exchange(port, head + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden)
    assert 1 == received.count(b"HTTP/1.1 200 OK")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    assert 1 == received.count(b"HTTP/1.1 200 OK")
