"""Request targets in all four forms of RFC 9112: what names something is answered, and every refusal is a response."""

import json
import re
import socket
from collections.abc import Iterator

import httptools
import pytest

from reader.http import problems
from reader.http.fast_path import FastPathConnection
from reader.http.refusals import RefusedError
from reader.http.server_state import Limits
from reader.http.static_routes import build_routes
from reader.http.targets import find_path, to_origin_form
from reader.storage.read_view import StoredRecord
from shared.problems import TYPE
from tests.support.http import LocalServer, exchange
from tests.support.waiting import wait_for

ALICE = {b"alice": StoredRecord(0, 7, 0, b'{"userId":"alice"}')}


@pytest.fixture(scope="module")
def serving() -> Iterator[LocalServer]:
    """Give a server with a user and the page."""
    with LocalServer(ALICE, routes=build_routes()) as made:
        yield made


def ask(serving: LocalServer, line: bytes, fields: bytes = b"Host: x\r\n") -> bytes:
    """Return everything that comes back to a request on a connection of its own."""
    return exchange(serving.port, b"%b HTTP/1.1\r\n%b\r\n" % (line, fields), end=True)


def without_date(answer: bytes) -> bytes:
    """Return a response without its date."""
    return re.sub(rb"\r\ndate: [^\r]+", b"", answer)


NAMED = [
    (b"/", b"/"),
    (b"//users/1", b"//users/1"),
    (b"/users/1?x=1", b"/users/1?x=1"),
    (b"http://127.0.0.1:8000", b"/"),
    (b"http://here", b"/"),
    (b"http://here?x=1", b"/?x=1"),
    (b"http://here/", b"/"),
    (b"HTTPS://Here:/users/1", b"/users/1"),
    (b"http://[::1]:8000/users/1", b"/users/1"),
    (b"http://my_reader.svc/users/a%2Fb?x", b"/users/a%2Fb?x"),
    (b"http://%68ere:65535//users", b"//users"),
]

REFUSED = [
    b"",
    b"*",
    b"**",
    b"here",
    b"here:443",
    b"[::1]:443",
    b"users/1",
    b"?x",
    b"http:",
    b"http:/users/1",
    b"http://",
    b"http:///users/1",
    b"http://:8000/users/1",
    b"http://?x",
    b"http://[::1/users/1",
    b"http://[:::1]/users/1",
    b"http://[]/users/1",
    b"http://here:65536/users/1",
    b"http://here:port/users/1",
    b"http://here:-1/users/1",
    b"http://here:8000:8000/users/1",
    b"http://me@here/users/1",
    b"http://me:secret@here/users/1",
    b"http://%zz/users/1",
    b"http://h\xc3\xa9/users/1",
    b"ftp://here/users/1",
    b"mailto:me@here",
]


@pytest.mark.parametrize(("target", "origin"), NAMED)
def test_a_path_and_a_url_name_the_same(target: bytes, origin: bytes) -> None:
    """A URL without a path names `/`; its host may be anything that a host can be."""
    assert origin == to_origin_form(b"GET", target)
    assert origin.partition(b"?")[0] == find_path(b"GET", target)


@pytest.mark.parametrize("target", REFUSED)
def test_what_names_nothing_is_refused(target: bytes) -> None:
    """Another scheme, a malformed host or port, a user's name, or no URL at all: 400."""
    with pytest.raises(RefusedError) as refused:
        to_origin_form(b"GET", target)
    assert problems.BAD_TARGET == refused.value.response


@pytest.mark.parametrize(
    ("method", "target"), [(b"OPTIONS", b"*"), (b"CONNECT", b"here:443"), (b"CONNECT", b"/"), (b"CONNECT", b"http://")]
)
def test_methods_of_the_other_forms_are_not_allowed(method: bytes, target: bytes) -> None:
    """OPTIONS of the whole server, and CONNECT of anything: 405, as for any method but GET and HEAD."""
    with pytest.raises(RefusedError) as refused:
        to_origin_form(method, target)
    assert (405, True) == (refused.value.response.status, problems.ALLOW in refused.value.response.head)


@pytest.mark.parametrize("path", [b"/", b"/users/alice", b"/users/bob", b"/users?id=alice", b"/livez", b"/nothing"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST"])
def test_a_url_is_answered_like_its_path(serving: LocalServer, method: bytes, path: bytes) -> None:
    """The same bytes, whatever host the URL names and whatever Host says."""
    close = b"Host: x\r\nConnection: close\r\n"
    expected = without_date(ask(serving, b"%b %b" % (method, path), close))
    assert expected.startswith(b"HTTP/1.1 ")
    for prefix in (b"http://127.0.0.1:8000", b"http://other.example", b"https://[::1]:1"):
        assert expected == without_date(ask(serving, b"%b %b%b" % (method, prefix, path), close))


def test_a_url_without_a_path_is_the_page(serving: LocalServer) -> None:
    """The case from the field: some clients and proxies send it so."""
    page = ask(serving, b"GET http://127.0.0.1:8000")
    assert page.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"<!doctype html>" in page.lower()


@pytest.mark.parametrize("fields", [b"", b"Host: x\r\nHost: x\r\n"])
def test_a_url_does_not_replace_host(serving: LocalServer, fields: bytes) -> None:
    """A request in absolute form needs exactly one Host, like any other."""
    assert ask(serving, b"GET http://x/users/alice", fields).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        *(
            (b"%b %b" % (method, target), 400)
            for target in REFUSED
            for method in (b"GET", b"POST")
            if b" " not in target
        ),
        (b"OPTIONS *", 405),
        (b"CONNECT here:443", 405),
        (b"CONNECT [::1]:443", 405),
        (b"CONNECT /users/alice", 405),
        (b"CONNECT http://here", 405),
        (b"CONNECT users", 405),
        (b"PRI *", 400),
    ],
)
def test_no_refusal_closes_without_a_byte(serving: LocalServer, line: bytes, status: int) -> None:
    """Each is one response with a problem document, and is counted once."""
    before = dict(serving.counters.responses)
    head, _, body = ask(serving, line).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nconnection: close" in head
    assert (status, True) == (json.loads(body)["status"], json.loads(body)["type"].startswith(TYPE))
    assert {**before, status: before.get(status, 0) + 1} == dict(serving.counters.responses)


@pytest.mark.parametrize("sent", [b"G", b"GET /users/alice", b"GET /users/alice HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_ends_early_is_answered(serving: LocalServer, sent: bytes) -> None:
    """A client that sends no more, but still reads, learns what is wrong; after nothing there is nothing to answer."""
    assert exchange(serving.port, sent, end=True).startswith(b"HTTP/1.1 400 ")
    said = exchange(serving.port, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" + sent, end=True)
    assert [b"200", b"400"] == re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", said)
    assert b"" == exchange(serving.port, b"\r\n\r\n", end=True)


def test_a_refusal_of_a_head_request_has_no_body(serving: LocalServer) -> None:
    """Its header fields are those of the refused GET."""
    for target, fields in (
        (b"http://here:port/", b"Host: x\r\n"),
        (b"/livez", b""),
        (b"*", b"Host: x\r\n"),
        (b"users/alice", b"Host: x\r\n"),
        (b"/users/\xff", b"Host: x\r\n"),
    ):
        head, _, body = ask(serving, b"GET " + target, fields).partition(b"\r\n\r\n")
        assert body
        assert without_date(head) + b"\r\n\r\n" == without_date(ask(serving, b"HEAD " + target, fields))


def test_what_follows_a_head_request_is_none_until_it_says_so(serving: LocalServer) -> None:
    """Nonsense after it gets a whole response; a refused HEAD after a GET gets the head alone."""
    before = b"%b /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = exchange(serving.port, before % b"HEAD" + b"nonsense\r\n\r\n")
    assert [b"200", b"400"] == re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answer)
    assert answer.endswith(problems.BAD_HTTP.body)
    answer = exchange(serving.port, before % b"GET" + b"HEAD users HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [b"200", b"400"] == re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answer)
    assert answer.endswith(b"\r\n\r\n")


def test_a_refusal_follows_the_responses_before_it(serving: LocalServer) -> None:
    """Pipelined requests before it are answered, what follows it is not."""
    sent = b"".join(
        b"%b HTTP/1.1\r\nHost: x\r\n\r\n" % line
        for line in (b"GET /livez", b"GET /users/alice", b"GET http://x", b"OPTIONS *", b"GET /livez")
    )
    said = exchange(serving.port, sent, end=True)
    assert [b"200", b"200", b"200", b"405"] == re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", said)


def test_an_overloaded_server_tells_urls_apart() -> None:
    """What is served however many connections there are is served in absolute form, too."""
    with (
        LocalServer(ALICE, limits=Limits(connections=1)) as serving,
        socket.create_connection(("127.0.0.1", serving.port)),
    ):
        for path, status in ((b"/livez", b"200"), (b"http://x/livez?y", b"200"), (b"http://x/users/alice", b"503")):
            assert ask(serving, b"GET " + path).startswith(b"HTTP/1.1 " + status)


def test_what_uvicorn_alone_cannot_take_apart_is_a_400(serving: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever error its own parsing of the target raises."""
    for error in (httptools.HttpParserInvalidURLError("bad"), UnicodeDecodeError("ascii", b"\xff", 0, 1, "bad")):

        def refuse(_: bytes, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(httptools, "parse_url", refuse)
        assert ask(serving, b"GET /livez").startswith(b"HTTP/1.1 400 ")


def test_an_error_of_our_own_is_a_500(
    serving: LocalServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and counted as what it is: the client did nothing wrong."""

    def fail(_: FastPathConnection) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(FastPathConnection, "_match_fast_path", fail)
    assert ask(serving, b"GET /users/alice").startswith(b"HTTP/1.1 500 ")
    wait_for(lambda: "a fault" in caplog.text)
