"""Error responses as problem documents (RFC 9457), in the words that readers and joiners share. Pure.

`type` tells a program what happened; `title` and `detail` tell a person.
"""

import json

TYPE = "urn:user-info:problem:"
CONTENT_TYPE = "application/problem+json"


def encode_problem(status: int, kind: str, title: str, detail: str, **more: object) -> bytes:
    """Return a problem document.

    Args:
        status: HTTP status code.
        kind: one word for programs; the document's `type` ends with it.
        title: what happened, the same for every occurrence.
        detail: what is particular to this occurrence, and what to do.
        more: further members of the document.
    """
    document = {"type": TYPE + kind, "title": title, "status": status, "detail": detail, **more}
    return json.dumps(document, ensure_ascii=False).encode()


def encode_unknown_user(noun: str) -> bytes:
    """Return the problem of an id that no record has.

    Args:
        noun: what a record is called.
    """
    return encode_problem(404, "unknown-user", f"no such {noun}", f"no {noun} has this id")


def encode_not_ready(reason: str, state: str, percent: float | None, seconds_left: float | None) -> bytes:
    """Return the problem of a process that does not answer yet, with how far it is."""
    return encode_problem(503, "not-ready", "not ready", reason, state=state, percent=percent, secondsLeft=seconds_left)


def encode_unknown_route(path: str, known: str) -> bytes:
    """Return the problem of a path without a route.

    Args:
        path: as it was sent.
        known: the path of all users.
    """
    return encode_problem(404, "unknown-route", "no such route", f"there is nothing at {path}; try {known}/{{userId}}")


def encode_bad_request(detail: str) -> bytes:
    """Return the problem of a request that cannot be understood."""
    return encode_problem(400, "bad-request", "bad request", detail)
