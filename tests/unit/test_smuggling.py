"""Requests whose end a proxy could see elsewhere than the reader does: nothing behind them is treated as a request."""

import re
from collections.abc import Iterator

import pytest

from reader.storage.read_view import StoredRecord
from tests.support.http import LocalServer, exchange

SMUGGLED = b"GET /users/alice HTTP/1.1\r\nHost: here\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
NONE = b"0\r\n\r\n"

SHAPES = {
    "length and chunks": b"Content-Length: %d\r\n%b\r\n%b" % (len(NONE + SMUGGLED), CHUNKED, NONE),
    "chunks and length": CHUNKED + b"Content-Length: 4\r\n\r\n2c\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED),
    "a list of lengths": b"Content-Length: 0, 0\r\n\r\n",
    "a signed length": b"Content-Length: +0\r\n\r\n",
    "a length beyond 64 bits": b"Content-Length: 18446744073709551616\r\n\r\n",
    "a space after the length's name": b"Content-Length : 0\r\n\r\n",
    "a space after the encoding's name": b"Transfer-Encoding : chunked\r\n\r\n" + NONE,
    "an unknown encoding": b"Transfer-Encoding: xchunked\r\n\r\n",
    "chunked, but not last": b"Transfer-Encoding: chunked, gzip\r\n\r\n" + NONE,
    "a folded line": b"X: y\r\n Transfer-Encoding: chunked\r\n\r\n" + NONE,
    "a bare carriage return": b"X: y\rTransfer-Encoding: chunked\r\n\r\n" + NONE,
    "a bare line feed": b"X: y\nTransfer-Encoding: chunked\r\n\r\n" + NONE,
    "a NUL": b"X: a\0b\r\n\r\n",
    "a chunk's size with a prefix": CHUNKED + b"\r\n0x0\r\n\r\n",
    "a chunk's size with a sign": CHUNKED + b"\r\n-0\r\n\r\n",
    "a chunk that ends in a bare line feed": CHUNKED + b"\r\n0\n\n",
}


@pytest.fixture(scope="module")
def serving() -> Iterator[LocalServer]:
    """Give a server."""
    with LocalServer({b"alice": StoredRecord(0, 7, 0, b"{}")}) as made:
        yield made


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("shape", SHAPES)
def test_bytes_behind_it_are_not_answered(serving: LocalServer, method: bytes, shape: str) -> None:
    """There is one response, none to a second request, and the connection is closed."""
    sent = b"%b /users/bob HTTP/1.1\r\nHost: here\r\n%b%b" % (method, SHAPES[shape], SMUGGLED)
    statuses = re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", exchange(serving.port, sent))
    assert statuses in ([b"400"], [b"404" if method == b"GET" else b"405"])


def test_a_well_formed_body_hides_nothing(serving: LocalServer) -> None:
    """A body is no request, even if it looks like one; the request after it is."""
    lengthy = b"Content-Length: %d\r\n\r\n%b" % (len(SMUGGLED), SMUGGLED)
    chunked = b"%b\r\n%x\r\n%b\r\n%b" % (CHUNKED, len(SMUGGLED), SMUGGLED, NONE)
    for body in (lengthy, chunked):
        sent = b"GET /users/bob HTTP/1.1\r\nHost: here\r\n%bGET /livez HTTP/1.0\r\n\r\n" % body
        said = exchange(serving.port, sent)
        assert [b"404", b"200"] == re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", said)
        assert b"alive" in said
