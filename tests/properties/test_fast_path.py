"""The fast path against the ordinary path: what a client sees is the same, byte for byte."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from reader.http.fast_path import FastPathConnection
from reader.http.server_state import Limits
from reader.storage.read_view import StoredRecord
from shared.shards import Shard, Share
from tests.support.http import LocalServer, exchange

RECORDS = {
    b"alice": StoredRecord(3, 1042, 1_700_000_000_123, b'{"userId":"alice"}'),
    "zoë/1".encode(): StoredRecord(0, 7, 1_700_000_000_456, '{"userId":"zoë/1"}'.encode()),
    b"big": StoredRecord(1, 8, 0, b'{"userId":"big","description":"' + b"x" * 200_000 + b'"}'),
}
PARTITIONS = 2
"""Of the topic, as far as absent users are concerned; something was applied of both."""

LIMITS = Limits(target_bytes=1_700, head_bytes=2_400)
LAST = b"GET /livez HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
LASTS = st.sampled_from([LAST, LAST.replace(b"livez", b"users/alice"), b"GET /users/bob HTTP/1.0\r\n\r\n"])
"""Requests after which a connection closes."""


class Ordinary(FastPathConnection):
    """The reader's connection without its fast path."""

    def _match_fast_path(self) -> bytes | None:
        return None


@pytest.fixture(scope="module")
def fast() -> Iterator[LocalServer]:
    """Give a server that takes the fast path."""
    with LocalServer(RECORDS, FastPathConnection, limits=LIMITS, partitions=PARTITIONS) as serving:
        yield serving


@pytest.fixture(scope="module")
def ordinary() -> Iterator[LocalServer]:
    """Give a server that has the same limits and never takes the fast path."""
    with LocalServer(RECORDS, Ordinary, limits=LIMITS, partitions=PARTITIONS) as serving:
        yield serving


@pytest.fixture(scope="module")
def shard() -> Iterator[tuple[LocalServer, LocalServer]]:
    """Give two servers of one shard, of which the second never takes the fast path."""
    share = Share(PARTITIONS, Shard(0, 2))
    with (
        LocalServer(RECORDS, FastPathConnection, limits=LIMITS, partitions=PARTITIONS, share=share) as fast,
        LocalServer(RECORDS, Ordinary, limits=LIMITS, partitions=PARTITIONS, share=share) as ordinary,
    ):
        yield fast, ordinary


@pytest.fixture(scope="module")
def plain_uvicorn() -> Iterator[LocalServer]:
    """Give a server with uvicorn's own protocol under the application."""
    with LocalServer(RECORDS, HttpToolsProtocol, partitions=PARTITIONS) as serving:
        yield serving


segments = st.sampled_from(
    [b"alice", b"al%69ce", b"zo%C3%AB%2F1", b"big", b"bob", b"%FF", b"%", b"%zz", b"a+b", b"x" * 512, b"a~!$&'()*,;=:@"]
)
odd_targets = st.sampled_from(
    [
        b"/",
        b"/users/",
        b"/users",
        b"/users?id=alice&id=bob",
        b"/users/alice/",
        b"/users/alice?x=1",
        b"/users//alice",
        b"/users/alice/events/x",
        b"/livez",
        b"http://other/users/alice",
        b"http://other:8000/livez?x",
        b"http://[::1]:8000/users/bob",
        b'/users/a"b',
    ]
)
other_forms = st.sampled_from(
    [
        b"GET http://127.0.0.1:8000 HTTP/1.1",
        b"HEAD http://here?x HTTP/1.1",
        b"GET http://here:99999/users/alice HTTP/1.1",
        b"GET http://[::1/users/alice HTTP/1.1",
        b"GET http://me@here/users/alice HTTP/1.1",
        b"GET http:// HTTP/1.0",
        b"GET here:443 HTTP/1.1",
        b"CONNECT here:443 HTTP/1.1",
        b"CONNECT /users/alice HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"GET * HTTP/1.1",
    ]
)
"""Request lines whose target is in absolute, authority or asterisk form, some of them refused late."""

targets = segments.map(lambda segment: b"/users/" + segment) | odd_targets
methods = st.sampled_from([b"GET"] * 6 + [b"HEAD"] * 2 + [b"POST", b"DELETE", b"OPTIONS"])
plain_fields = st.lists(
    st.sampled_from(
        [
            b"Accept: */*",
            b"X-Request-Id: 1",
            b"Connection: keep-alive",
            b'If-None-Match: "0badcafe-3-1042"',
            b'IF-NONE-MATCH: W/"other", "0badcafe-0-7"',
            b"If-None-Match: *",
            b"If-Min-Offset: 3:1042",
            b"if-min-offset: 3:1043",
            b"If-Min-Offset: soon",
            b"Max-Staleness-Seconds: 5",
            b"max-staleness-seconds: soon",
            b"Cookie: \xe9=\xff",
        ]
    ),
    max_size=4,
)
odd_fields = st.lists(
    st.sampled_from(
        [
            b"Connection: Keep-Alive, X-Request-Id",
            b"Expect: 100-continue",
            b"Connection: Upgrade\r\nUpgrade: h2c",
            b"Upgrade: websocket",
            b"Content-Length: 0",
            b"Content-Length: 00",
            b"Content-Length: -1",
            b"Transfer-Encoding: gzip",
            b"no colon",
            b"Bad Name: 1",
            b"X: a\x00b",
            b"X-Long: " + b"x" * 2_500,
            b"Host: here",
            b"HOST: there",
            b" folded: 1",
            b"Connection: Close",
            b"X: 1\r\n\r\nGET /users/alice HTTP/1.0\r\nHost: here",
            b"X: 1\r\n\r\nGET /users/a\x80 HTTP/1.1\r\nHost: here",
            b"X: 1\r\n\r\nGET * HTTP/1.1\r\nHost: here",
            b"X: 1\r\n\r\nGET /users/" + b"a" * 1_800 + b" HTTP/1.1\r\nHost: here",
        ]
    ),
    max_size=1,
)


@st.composite
def well_formed(draw: st.DrawFn) -> bytes:
    """Return a request that any server accepts, with or without a body."""
    lines = [b" ".join((draw(methods), draw(targets), b"HTTP/1.1")), b"Host: here", *draw(plain_fields)]
    framing, body = draw(
        st.sampled_from([(b"", b"")] * 4 + [(b"Content-Length: 5", b"hello")])
        | st.just((b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"))
    )
    return b"\r\n".join([*lines, *([framing] if framing else []), b"", body])


@st.composite
def any_request(draw: st.DrawFn) -> bytes:
    """Return a request that may be malformed, unusual or cut off."""
    whole = draw(well_formed())
    head, _, rest = whole.partition(b"\r\n")
    head = draw(st.just(head) | other_forms)
    odd = b"".join(field + b"\r\n" for field in draw(odd_fields))
    if draw(st.integers(0, 9)) == 0:
        rest = rest.replace(b"Host: here\r\n", b"", 1)
    cut = draw(st.none() | st.integers(1, 60))
    return (head + b"\r\n" + odd + rest)[: None if cut is None else -cut]


def mask_dates(responses: bytes) -> bytes:
    """Return responses with their dates, which are the server's own, replaced."""
    return re.sub(rb"\r\ndate: [^\r]+", b"\r\ndate: now", responses)


@given(requests=st.lists(well_formed(), max_size=4), last=LASTS, pieces=st.lists(st.integers(1, 400), max_size=3))
def test_well_formed_requests_are_answered_as_uvicorn_answers_them(
    fast: LocalServer, plain_uvicorn: LocalServer, requests: list[bytes], last: bytes, pieces: list[int]
) -> None:
    """Found, unchanged, unknown, refused, pipelined, in one piece or in several: the same bytes in the same order."""
    sent = b"".join(requests) + last
    assert mask_dates(exchange(plain_uvicorn.port, sent, pieces)) == mask_dates(exchange(fast.port, sent, pieces))


@given(requests=st.lists(any_request(), min_size=1, max_size=3), pieces=st.lists(st.integers(1, 400), max_size=3))
def test_any_bytes_are_answered_alike_with_and_without_the_fast_path(
    fast: LocalServer, ordinary: LocalServer, requests: list[bytes], pieces: list[int]
) -> None:
    """Malformed, unusual and cut-off requests, and what follows them on the same connection; none goes unanswered."""
    sent = b"".join(requests) + LAST
    said = exchange(ordinary.port, sent, pieces, end=True)
    assert said.startswith(b"HTTP/1.1 "), "closed without an answer"
    assert mask_dates(said) == mask_dates(exchange(fast.port, sent, pieces, end=True))


@given(requests=st.lists(well_formed(), min_size=1, max_size=4))
def test_a_shard_is_answered_for_alike_on_both_paths(
    shard: tuple[LocalServer, LocalServer], requests: list[bytes]
) -> None:
    """Users of the shard and of the other, known and unknown, with and without conditions."""
    sent = b"".join(requests) + LAST
    fast, ordinary = (mask_dates(exchange(server.port, sent)) for server in shard)
    assert ordinary == fast


def test_both_paths_tell_users_of_another_shard_apart(shard: tuple[LocalServer, LocalServer]) -> None:
    """The comparison above compares answers, absences and misdirections."""
    for server in shard:
        statuses = {
            exchange(server.port, b"GET /users/%b HTTP/1.0\r\n\r\n" % segment).split()[1]
            for segment in (b"alice", b"al%69ce", b"zo%C3%AB%2F1", b"big", b"bob", b"a+b")
        }
        assert {b"200", b"404", b"421"} == statuses


def test_the_fast_path_is_taken(fast: LocalServer, ordinary: LocalServer) -> None:
    """A plain request makes no task; the comparison above compares two different paths."""
    request = b"GET /users/alice HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    for serving, calls in ((fast, 0), (ordinary, 1)):
        before = serving.application.calls
        assert exchange(serving.port, request).startswith(b"HTTP/1.1 200 OK\r\n")
        assert calls == serving.application.calls - before
