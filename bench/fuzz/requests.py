"""Requests that are nearly right, drawn at random, as any client may send them. Pure but for the generator."""

from dataclasses import dataclass
from random import Random

TARGETS = (
    b"/users/1",
    b"/users/1?x=%00",
    b"/users/%31",
    b"/users/nobody",
    b"/users/%FF",
    b"/users/a%2Fb",
    b"/users/../livez",
    b"/users//1",
    b"/users/" + b"x" * 511,
    b"/users/" + b"%78" * 512,
    b"/users/1/events",
    b"/users/" + b"x" * 512 + b"/events",
    b"/users?id=1&id=nobody",
    b"/users?id=" + b"&id=1" * 101,
    b"/users",
    b"/users?id=%F0%9F",
    b"/",
    b"/page.js",
    b"/openapi.json",
    b"/livez",
    b"/readyz",
    b"/metrics",
    b"/nothing",
    b"*",
    b"http://other.example/users/1",
    b"http://127.0.0.1:1/users/1?x",
    b"//users/1",
    b"http://127.0.0.1:8000",
    b"HTTPS://here?x",
    b"http://[::1]:8000/users/1",
    b"http://[::1/users/1",
    b"http://here:99999/users/1",
    b"http://me:secret@here/users/1",
    b"http://",
    b"ftp://here/users/1",
    b"other.example:443",
    b"[::1]:443",
    b"/" + b"y" * 9_000,
    "/users/zoë".encode(),
    b"/users/\x00",
    b"/users/1 2",
    b"",
)
METHODS = (b"GET",) * 8 + (b"HEAD", b"POST", b"OPTIONS", b"CONNECT", b"TRACE", b"PRI", b"get", b"G\x00T", b"")
VERSIONS = (b"HTTP/1.1",) * 10 + (b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"HTTP/1.", b"http/1.1", b"")
OTHER_FORMS = (
    b"OPTIONS *",
    b"GET *",
    b"CONNECT here:443",
    b"CONNECT http://here:443",
    b"GET here:443",
    b"GET http://here:8000",
    b"HEAD http://here/users/1",
    b"GET http://here:port/",
)
"""Methods with targets that are no path: in absolute, authority and asterisk form."""

LINE_ENDS = (b"\r\n",) * 12 + (b"\n", b"\r", b"\r\r\n", b"\n\r\n")
PLAIN_FIELDS = (
    b"Host: here",
    b"Accept: */*",
    b"Connection: keep-alive",
    b"Connection: close",
    b"Upgrade: websocket",
    b"Expect: 100-continue",
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"Origin: https://page.example",
    b"If-None-Match: *",
    b'If-None-Match: "x", W/"y"',
    b"If-Min-Offset: 0:0",
    b"If-Min-Offset: 0:99999999999999999",
    b"Max-Staleness-Seconds: 1e9",
    b"Last-Event-ID: 0:0:x",
    b"Range: bytes=0-1",
)
ODD_FIELDS = (
    b"Host:",
    b"host : here",
    b"Connection: upgrade, close",
    b"Upgrade: h2c",
    b"HTTP2-Settings: AAMAAABkAAQAAP__",
    b"Expect: 200-maybe",
    b"Content-Length: 5, 5",
    b"Content-Length: 05",
    b"Content-Length: +5",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Content-Length : 5",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding : chunked",
    b"If-Min-Offset: \xff",
    b"Last-Event-ID: \xc3\xa9",
    b" folded: on",
    b"\tfolded",
    b"X: " + b"z" * 40_000,
    b"X: a\x00b",
    b"X: a\rb",
    b": nothing",
    b"no colon",
    b"\x80\x81: \xfe",
)
BODIES = (
    b"",
    b"",
    b"",
    b"hello",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5;ext=1\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
    b"0\r\n\r\nGET /users/1 HTTP/1.1\r\nHost: smuggled\r\n\r\n",
    b"-5\r\nhello\r\n",
    b"ffffffffffffffffff\r\nhello",
    b"5\nhello\n0\n\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
)
SOUND = b"GET /users/1 HTTP/1.1\r\nHost: here\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Input:
    """What is sent on one connection.

    Args:
        sent: the bytes.
        cuts: where they are cut into pieces, ascending.
        resets: whether the connection is reset at the end instead of closed for writing.
    """

    sent: bytes
    cuts: tuple[int, ...]
    resets: bool


def invent_input(random: Random) -> Input:
    """Return what is sent on a connection.

    Args:
        random: that decides.
    """
    sent = b"".join(_invent_request(random) for _ in range(random.choice((1, 1, 1, 2, 3, 8))))
    if random.random() < 0.1:
        sent = SOUND * random.choice((1, 40, 400)) + sent
    if random.random() < 0.3:
        sent = _damage(random, sent)
    cuts = sorted(random.randrange(len(sent) + 1) for _ in range(random.choice((0, 0, 1, 2, 5))))
    return Input(sent, tuple(cuts), random.random() < 0.05)


def _invent_request(random: Random) -> bytes:
    if random.random() < 0.3:
        return SOUND
    fields = [random.choice(PLAIN_FIELDS) for _ in range(random.choice((0, 1, 1, 2, 3, 5, 200)))]
    if random.random() < 0.15:
        return b"%b HTTP/1.1\r\nHost: here\r\n\r\n" % random.choice(OTHER_FORMS)
    if random.random() < 0.5:
        line = b"GET %b HTTP/1.1" % random.choice(TARGETS)
        return b"\r\n".join((line, *fields, b"", b""))
    fields += [random.choice(ODD_FIELDS) for _ in range(random.choice((0, 0, 1, 2)))]
    random.shuffle(fields)
    end = random.choice(LINE_ENDS)
    space = random.choice((b" ",) * 10 + (b"  ", b"\t", b""))
    line = space.join((random.choice(METHODS), random.choice(TARGETS), random.choice(VERSIONS)))
    before = random.choice((b"",) * 10 + (b"\r\n", b"\n\n", b"\x16\x03\x01"))
    return before + end.join((line, *fields, b"", random.choice(BODIES)))


def _damage(random: Random, sent: bytes) -> bytes:
    """Return bytes with one thing wrong: a part missing, doubled, or another byte in its place."""
    first, last = sorted((random.randrange(len(sent) + 1), random.randrange(len(sent) + 1)))
    kind = random.randrange(4)
    if kind == 0:
        return sent[:last]
    if kind == 1:
        return sent[:first] + sent[last:]
    if kind == 2:
        return sent[:last] + sent[first:last][:5_000] + sent[last:]
    return sent[:first] + bytes((random.randrange(256),)) + sent[first + 1 :]
