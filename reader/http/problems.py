"""Every error response of the reader, as a problem document (see shared.problems). Pure.

None of them shows the reader's internals.
"""

from collections.abc import Mapping, Sequence

from reader.http.response import Response
from replication.readiness import Readiness
from shared import problems as documents

ALLOW = b"allow: GET, HEAD\r\n"
RETRY_AFTER = b"retry-after: 1\r\n"
CLOSE = b"connection: close\r\n"


def problem(status: int, kind: str, title: str, detail: str, head: bytes = b"", **more: object) -> Response:
    """Return an error response.

    Args:
        status: HTTP status code.
        kind: one word for programs; the document's `type` ends with it.
        title: what happened, the same for every occurrence.
        detail: what is particular to this occurrence, and what to do.
        head: further header lines, each with its line end.
        more: further members of the document.
    """
    return _respond(status, documents.encode_problem(status, kind, title, detail, **more), head)


def _respond(status: int, body: bytes, head: bytes = b"") -> Response:
    lines = b"content-type: %b\r\ncontent-length: %d\r\n" % (documents.CONTENT_TYPE.encode(), len(body))
    return Response(status, lines + head, body)


def unknown_user(noun: str) -> Response:
    """Return the 404 for an id that no record has.

    Args:
        noun: what a record is called.
    """
    return _respond(404, documents.encode_unknown_user(noun))


UNKNOWN_USER = unknown_user("user")
METHOD_NOT_ALLOWED = problem(405, "method-not-allowed", "method not allowed", "this resource is read-only", ALLOW)
METHOD_NOT_ALLOWED_CLOSE = METHOD_NOT_ALLOWED._replace(head=METHOD_NOT_ALLOWED.head + CLOSE)
INTERNAL = problem(500, "internal", "internal error", "the reader's log has the cause")
INTERNAL_CLOSE = INTERNAL._replace(head=INTERNAL.head + CLOSE)
BAD_HTTP = problem(400, "bad-http", "bad request", "this is not valid HTTP/1.1", CLOSE)
BAD_TARGET = problem(
    400,
    "bad-http",
    "bad request",
    "the request target must be a path such as /readyz, or a URL such as http://host:8000/readyz",
    CLOSE,
)
CUT_OFF = problem(400, "bad-http", "bad request", "the request ended within its head", CLOSE)
NO_HOST = problem(400, "bad-http", "bad request", "HTTP/1.1 requires exactly one Host header field", CLOSE)
URI_TOO_LONG = problem(414, "uri-too-long", "request target too long", "ask for less at once", CLOSE)
HEADERS_TOO_LARGE = problem(431, "headers-too-large", "header fields too large", "send fewer or shorter ones", CLOSE)
REQUEST_TIMEOUT = problem(408, "request-timeout", "request timeout", "the request took too long to arrive", CLOSE)
OVERLOADED = problem(
    503,
    "overloaded",
    "too many connections",
    "this reader has reached its limit; ask another reader",
    RETRY_AFTER + CLOSE,
)
TOO_MANY_STREAMS = problem(
    503, "too-many-streams", "too many streams", "this reader has reached its limit; ask another reader", RETRY_AFTER
)
OTHER_TOPIC = problem(
    503,
    "other-topic",
    "another topic",
    "this reader holds another topic than If-Min-Offset names, so it cannot tell what is newer; ask another reader, or,"
    " once the topic has been created again for all of them, ask without it",
    RETRY_AFTER,
)


def unknown_route(path: str, known: str) -> Response:
    """Return the 404 for a path without a route.

    Args:
        path: as it was sent.
        known: of the reader's resource.
    """
    return _respond(404, documents.encode_unknown_route(path, known))


def bad_request(detail: str) -> Response:
    """Return the 400 for a request that cannot be understood."""
    return _respond(400, documents.encode_bad_request(detail))


def other_shard(own: str, noun: str, elsewhere: Mapping[str, Sequence[str]]) -> Response:
    """Return the 421 for users of other shards than the reader's.

    Args:
        own: the reader's shard.
        noun: what a record is called.
        elsewhere: shard -> ids that were asked for and are in it.
    """
    where = ", ".join(f"{len(ids)} in shard {shard}" for shard, ids in sorted(elsewhere.items()))
    return problem(
        421,
        "other-shard",
        "another shard",
        f"this reader holds shard {own}; of the {noun}s asked for, {where}: ask for those of each shard apart, there or"
        " through the proxy",
        shard=own,
        elsewhere=elsewhere,
    )


def not_ready(readiness: Readiness) -> Response:
    """Return the 503 that clients get before the reader is ready, with how far it is."""
    reason = readiness.reason or "the reader is not ready yet"
    body = documents.encode_not_ready(reason, readiness.state, readiness.percent, readiness.seconds_left)
    return _respond(503, body, RETRY_AFTER)
