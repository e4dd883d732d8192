"""Raw sockets: clients that send too much, too slowly or malformed bytes get an error if possible, and are cut off."""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from reader.http.server_state import Limits
from reader.storage.read_view import StoredRecord
from tests.support.http import LocalServer, exchange, read_all
from tests.support.waiting import wait_for

RECORDS = {
    b"alice": StoredRecord(3, 1042, 1_700_000_000_123, b'{"userId":"alice"}'),
    b"big": StoredRecord(1, 8, 0, b"[" + b"1," * 4_000_000 + b"1]"),
}
ALICE = b"GET /users/alice HTTP/1.1\r\nHost: here\r\n\r\n"
LIMITS = Limits(
    connections=8, target_bytes=500, head_bytes=2_000, request_seconds=0.5, idle_seconds=1.5, stalled_seconds=1.0
)


@pytest.fixture(scope="module")
def serving() -> Iterator[LocalServer]:
    """Give a server with limits that a test can wait for."""
    with LocalServer(RECORDS, limits=LIMITS, origins=["https://page.example"]) as made:
        yield made


@contextmanager
def open_connection(serving: LocalServer, sent: bytes = b"") -> Iterator[socket.socket]:
    """Give a connection on which bytes were sent."""
    with closing(socket.create_connection(("127.0.0.1", serving.port), timeout=30)) as connection:
        connection.sendall(sent)
        yield connection


def status_of(answer: bytes) -> int:
    """Return the status of the first response."""
    return int(answer.split(b" ", 2)[1])


def read_response(connection: socket.socket) -> bytes:
    """Return a complete response."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(1 << 16)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(1 << 16)
    return head + b"\r\n\r\n" + body


@pytest.mark.parametrize("length", [501, 5_000, 300_000])
def test_a_target_that_is_too_long_is_414(serving: LocalServer, length: int) -> None:
    """The client gets the error though it is still sending, and the connection is closed."""
    answer = exchange(serving.port, b"GET /users/%b HTTP/1.1\r\nHost: here\r\n\r\n" % (b"x" * (length - 7)))
    assert 414 == status_of(answer)
    assert b"connection: close\r\n" in answer
    assert answer.endswith(b"}")


@pytest.mark.parametrize("fields", [b"X: %b\r\n" % (b"x" * 2_000), b"X: %b" % (b"x" * 1_000_000), b"X: 1\r\n" * 500])
@pytest.mark.parametrize("path", [b"/users/alice", b"/livez"])
def test_header_fields_that_are_too_large_are_431(serving: LocalServer, path: bytes, fields: bytes) -> None:
    """One long field, one that never ends, or many short ones: refused on either path, and nothing is buffered."""
    assert 431 == status_of(exchange(serving.port, b"GET %b HTTP/1.1\r\n%b\r\n" % (path, fields)))


def test_requests_up_to_the_limits_are_answered(serving: LocalServer) -> None:
    """The limits themselves are allowed, and many small requests in one piece are not one large one."""
    target = b"/users/" + b"x" * 493
    assert 404 == status_of(
        exchange(serving.port, b"GET %b HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n" % target)
    )
    field = b"X: %b\r\n" % (b"x" * 1_900)
    last = b"GET /livez HTTP/1.1\r\nHost: here\r\n%bConnection: close\r\n\r\n" % field
    assert 200 == status_of(exchange(serving.port, last))
    many = ALICE * 200 + b"GET /users/alice HTTP/1.0\r\n\r\n"
    assert 201 == exchange(serving.port, many).count(b"HTTP/1.1 200 OK")


def test_a_request_that_does_not_arrive_is_408(serving: LocalServer) -> None:
    """A client that sends a byte now and then does not keep a connection for longer than a request may take."""
    with open_connection(serving, b"GET /users/alice HTTP/1.1\r\nX: ") as connection:
        connection.settimeout(0.1)
        received = b""
        deadline = time.monotonic() + 30
        while not received and time.monotonic() < deadline:
            try:
                connection.sendall(b"x")
                received = connection.recv(1 << 16)
            except TimeoutError:
                continue
        connection.settimeout(30)
        assert 408 == status_of(received)
        assert (received + read_all(connection)).endswith(b"}")


def test_an_idle_connection_is_closed(serving: LocalServer) -> None:
    """Silence ends it, before the first request as after a response."""
    with open_connection(serving) as silent, open_connection(serving, ALICE) as once:
        assert b"" == read_all(silent)
        assert 1 == read_all(once).count(b"HTTP/1.1 200 OK")


def test_a_connection_lives_from_request_to_request(serving: LocalServer) -> None:
    """Each response, on either path, restarts the idle time."""
    with open_connection(serving) as connection:
        began = time.monotonic()
        while time.monotonic() - began < 2 * LIMITS.idle_seconds:
            for path in (b"/users/alice", b"/livez"):
                connection.sendall(b"GET %b HTTP/1.1\r\nHost: here\r\n\r\n" % path)
                assert 200 == status_of(read_response(connection))


def test_an_unexpected_body_does_not_hold_a_connection(serving: LocalServer) -> None:
    """The response does not wait for it, and a body that does not end ends the connection."""
    request = b"GET /users/alice HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000\r\n\r\nx"
    assert 1 == exchange(serving.port, request).count(b"HTTP/1.1 ")


def test_a_client_that_reads_nothing_is_cut_off(serving: LocalServer) -> None:
    """Unread responses are not kept for ever, and no further ones are prepared meanwhile."""
    request = b"GET /users/big HTTP/1.1\r\nHost: here\r\n\r\n"
    with open_connection(serving, request * 20) as connection:
        # The system may still buffer a little for a client that reads nothing, at ever longer intervals.
        wait_for(lambda: not serving.server.server_state.connections, 120, "the connection's end")
        received = read_all(connection)
    assert received.count(b"HTTP/1.1 200 OK") < 20


def test_a_slow_client_gets_all(serving: LocalServer) -> None:
    """One that reads, however slowly, is not cut off."""
    with open_connection(serving, b"GET /users/big HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n") as connection:
        received = 0
        began = time.monotonic()
        while piece := connection.recv(1 << 16):
            received += len(piece)
            if time.monotonic() - began < 2 * LIMITS.stalled_seconds:
                time.sleep(0.02)  # this client is slow: that is what it is here for
    assert received > len(RECORDS[b"big"].body)


def test_connections_beyond_the_limit_get_a_503(serving: LocalServer) -> None:
    """Requests for users get it at once; /livez and /readyz are served all the same."""
    open_ones = [socket.create_connection(("127.0.0.1", serving.port), timeout=30) for _ in range(LIMITS.connections)]
    try:
        for connection in open_ones:
            connection.sendall(ALICE)
            assert 200 == status_of(read_response(connection))
        refused = exchange(serving.port, ALICE)
        assert (503, True) == (status_of(refused), b"retry-after: 1\r\n" in refused)
        for path in (b"/livez", b"/readyz"):
            request = b"GET %b HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n" % path
            assert 200 == status_of(exchange(serving.port, request))
    finally:
        for connection in open_ones:
            connection.close()
    wait_for(lambda: status_of(exchange(serving.port, ALICE, end=True)) == 200)


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.1\r\nbad\r\n\r\n", b"GET /users/\x80 HTTP/1.1\r\n\r\n"]
)
def test_malformed_http_is_400_and_closed(serving: LocalServer, sent: bytes) -> None:
    """A TLS greeting, a line without a colon, a target that is not ASCII."""
    answer = exchange(serving.port, sent)
    assert (400, True) == (status_of(answer), b"application/problem+json" in answer)


@pytest.mark.parametrize("path", [b"/users/alice", b"/livez"])
@pytest.mark.parametrize(
    ("hosts", "version", "status"),
    [
        (b"", b"1.1", 400),
        (b"Host: here\r\nHost: here\r\n", b"1.1", 400),
        (b"Host: here\r\nhost: there\r\n", b"1.0", 400),
        (b"", b"1.0", 200),
        (b"Host: here\r\n", b"1.1", 200),
        (b"Host:\r\n", b"1.1", 200),
    ],
)
def test_a_request_names_one_host(serving: LocalServer, path: bytes, hosts: bytes, version: bytes, status: int) -> None:
    """RFC 9112, section 3.2: only HTTP/1.0 may send none, and no request may send two, on either path."""
    request = b"GET %b HTTP/%b\r\n%bConnection: close\r\n\r\n" % (path, version, hosts)
    assert status == status_of(exchange(serving.port, request))


def test_requests_before_malformed_bytes_are_answered_first(serving: LocalServer) -> None:
    """Responses come in the order of their requests, on either path."""
    for path in (b"/users/alice", b"/livez"):
        answer = exchange(serving.port, b"GET %b HTTP/1.1\r\nHost: here\r\n\r\nnonsense\r\n\r\n" % path)
        assert [b"200", b"400"] == re.findall(rb"HTTP/1.1 (\d+)", answer)


def test_a_client_that_has_closed_its_direction_is_answered(serving: LocalServer) -> None:
    """A half-closed connection still carries the response, on either path."""
    for path in (b"/users/alice", b"/livez"):
        answer = exchange(serving.port, b"GET %b HTTP/1.1\r\nHost: here\r\n\r\n" % path, end=True)
        assert 200 == status_of(answer)


def test_scripts_of_named_origins_may_read_and_no_others(serving: LocalServer) -> None:
    """Where origins are set, theirs may read, the headers with offset and time included."""
    for origin, allowed in ((b"https://page.example", True), (b"https://other.example", False)):
        request = b"GET /users/alice HTTP/1.1\r\nHost: here\r\nOrigin: %b\r\nConnection: close\r\n\r\n" % origin
        answer = exchange(serving.port, request)
        assert (200, allowed) == (status_of(answer), b"access-control-allow-origin: " + origin in answer)
        assert b"user-info-offset" in answer.partition(b"access-control-expose-headers: ")[2]


def test_a_script_is_told_in_advance_what_it_may_ask(serving: LocalServer) -> None:
    """HEAD like GET, with every condition; what is refused is a problem document."""
    fields = b"Access-Control-Request-Headers: if-min-offset, if-none-match\r\nConnection: close\r\n\r\n"
    for origin, method, status in (
        (b"https://page.example", b"GET", 200),
        (b"https://page.example", b"HEAD", 200),
        (b"https://page.example", b"PUT", 400),
        (b"https://other.example", b"GET", 400),
    ):
        asked = b"Origin: %b\r\nAccess-Control-Request-Method: %b\r\n" % (origin, method)
        answer = exchange(serving.port, b"OPTIONS /users/alice HTTP/1.1\r\nHost: here\r\n" + asked + fields)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert (status, True) == (status_of(answer), b"vary: Origin" in head)
        if status == 400:
            assert "urn:user-info:problem:bad-request" == json.loads(body)["type"]
            assert 1 == head.count(b"content-type: ")


def test_without_origins_no_script_may_read() -> None:
    """Unset, no response has headers about other origins."""
    with LocalServer(RECORDS) as serving:
        request = b"GET /users/alice HTTP/1.1\r\nHost: here\r\nOrigin: https://a.example\r\nConnection: close\r\n\r\n"
        answer = exchange(serving.port, request)
    assert (200, False) == (status_of(answer), b"access-control" in answer)
