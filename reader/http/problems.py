"""Every error that the reader answers, as RFC 9457 has it. Pure.

`type` tells a program what happened, `title` and `detail` tell a person. Nothing of the reader's inside is in them.
"""

import json

from reader.http.response import Response

TYPE = "urn:user-info:problem:"
ALLOW = b"allow: GET, HEAD\r\n"
RETRY_AFTER = b"retry-after: 1\r\n"
CLOSE = b"connection: close\r\n"


def problem(status: int, kind: str, title: str, detail: str, head: bytes = b"", **more: object) -> Response:
    """Return an error.

    Args:
        status: of HTTP.
        kind: one word for programs; the document's `type` ends with it.
        title: what happened, the same for every occurrence.
        detail: what is particular to this one, and what to do.
        head: further header lines, each with its line end.
        more: further members of the document.
    """
    document = {"type": TYPE + kind, "title": title, "status": status, "detail": detail, **more}
    body = json.dumps(document, ensure_ascii=False).encode()
    return Response(
        status, b"content-type: application/problem+json\r\ncontent-length: %d\r\n" % len(body) + head, body
    )


UNKNOWN_USER = problem(404, "unknown-user", "no such user", "no user has this id")
METHOD_NOT_ALLOWED = problem(405, "method-not-allowed", "method not allowed", "what is here can only be read", ALLOW)
INTERNAL = problem(500, "internal", "internal error", "the reader's log says more")
BAD_HTTP = problem(400, "bad-http", "bad request", "this cannot be read as HTTP/1.1", CLOSE)
NO_HOST = problem(400, "bad-http", "bad request", "HTTP/1.1 asks for one Host header field, and for no other", CLOSE)
URI_TOO_LONG = problem(414, "uri-too-long", "request target too long", "ask for less at once", CLOSE)
HEADERS_TOO_LARGE = problem(431, "headers-too-large", "header fields too large", "send fewer or shorter ones", CLOSE)
REQUEST_TIMEOUT = problem(408, "request-timeout", "request timeout", "the request took too long to arrive", CLOSE)
OVERLOADED = problem(
    503, "overloaded", "too many connections", "this reader has as many as it takes; try another", RETRY_AFTER + CLOSE
)
TOO_MANY_STREAMS = problem(
    503, "too-many-streams", "too many streams", "this reader has as many as it takes; try another", RETRY_AFTER
)


def unknown_route(path: str) -> Response:
    """Return the answer to a path at which there is nothing."""
    return problem(404, "unknown-route", "no such route", f"there is nothing at {path}; try /users/{{userId}}")


def bad_request(detail: str) -> Response:
    """Return the answer to a request that says something that cannot be understood."""
    return problem(400, "bad-request", "bad request", detail)
