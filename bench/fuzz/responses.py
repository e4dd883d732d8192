"""Whether a server's responses are HTTP/1.1, and whether a client may be given them. Pure."""

import json
import re

ALLOWED = frozenset({200, 304, 400, 404, 405, 408, 414, 426, 431, 503})
STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) [ -~]*")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([\t -~\x80-\xff]*)")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Malformed(Exception):  # noqa: N818 - what it finds, not what fails
    """A response that is not HTTP, or that no client may be given."""


def check_responses(received: bytes, *, heads: bool, cut_off: bool) -> list[int]:
    """Check each response, and return their statuses.

    Args:
        received: all that came on a connection until it was closed.
        heads: whether a HEAD request may have been understood, so that a body may be missing.
        cut_off: whether the last response may be incomplete.

    Raises:
        Malformed: one of them is wrong; says why.
    """
    statuses = []
    while received:
        if received.startswith(CONTINUE):
            received = received.removeprefix(CONTINUE)
            continue
        head, end, rest = received.partition(b"\r\n\r\n")
        if not end:
            if cut_off:
                break
            raise Malformed(f"an answer's head does not end: {received[:200]!r}")
        status, fields = _parse_head(head)
        statuses.append(status)
        body = _find_body(status, fields, rest, heads=heads)
        if body is None:
            if cut_off:
                break
            raise Malformed(f"an answer's body does not end: {received[:300]!r}")
        received = rest[body[1] :]
        _check(status, fields, body[0])
    return statuses


def _parse_head(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = head.split(b"\r\n")
    status = STATUS.fullmatch(first)
    if status is None:
        raise Malformed(f"no status line: {first[:200]!r}")
    fields: dict[bytes, bytes] = {}
    for line in lines:
        field = FIELD.fullmatch(line)
        if field is None:
            raise Malformed(f"no header field: {line[:200]!r}")
        name = field[1].lower()
        if name in fields:
            raise Malformed(f"{name!r} is there twice")
        fields[name] = field[2]
    return int(status[1]), fields


def _find_body(status: int, fields: dict[bytes, bytes], rest: bytes, *, heads: bool) -> tuple[bytes, int] | None:
    """Return an answer's body and the bytes that it takes up; None if it is incomplete."""
    if status == 304 or (heads and (not rest or rest.startswith(b"HTTP/1.1 "))):
        return b"", 0
    if fields.get(b"transfer-encoding") == b"chunked":
        return _join_chunks(rest)
    if b"content-length" not in fields:
        raise Malformed(f"an answer {status} does not say how long it is")
    length = int(fields[b"content-length"])
    return None if len(rest) < length else (rest[:length], length)


def _join_chunks(rest: bytes) -> tuple[bytes, int] | None:
    body, place = b"", 0
    while True:
        line, end, _ = rest[place : place + 20].partition(b"\r\n")
        if not end:
            return None
        size, begin = int(line, 16), place + len(line) + 2
        if len(rest) < begin + size + 2:
            return None
        if rest[begin + size : begin + size + 2] != b"\r\n":
            raise Malformed(f"a chunk does not end: {rest[begin : begin + size + 20]!r}")
        body, place = body + rest[begin : begin + size], begin + size + 2
        if size == 0:
            return body, place


def _check(status: int, fields: dict[bytes, bytes], body: bytes) -> None:
    if status not in ALLOWED:
        raise Malformed(f"{status}: {body[:500]!r}")
    if fields.get(b"content-type") == b"application/problem+json" and body:
        stated = json.loads(body)["status"]
        if stated != status:
            raise Malformed(f"{status} with a document that says {stated}")
