"""What the reader answers over HTTP. The only module that knows Starlette.

`GET /users/{userId}` is taken before the router, on the raw path, so that an id may hold an encoded slash, and answered
with the bytes that lie in the store. Everything else is an ordinary Starlette route.
"""

import json
import logging
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from reader.progress import Progress
from shared.records import MAX_ID_BYTES

logger = logging.getLogger(__name__)

USERS = b"/users/"
ALLOW = "GET, HEAD"
RETRY_AFTER_SECONDS = "1"
PROBLEM = "application/problem+json"


def application(
    body: Callable[[bytes], bytes | None], progress: Callable[[], Progress], alive: Callable[[], bool]
) -> ASGIApp:
    """Return the reader's ASGI application.

    Args:
        body: user id in UTF-8 -> what is served, None where there is no such user; called in the event loop.
        progress: how far the reader is.
        alive: whether the process still does its work.
    """

    async def readyz(_: Request) -> Response:
        now = progress()
        headers = {} if now.ready else {"retry-after": RETRY_AFTER_SECONDS}
        return JSONResponse(now.report(), 200 if now.ready else 503, headers)

    async def livez(_: Request) -> Response:
        works = alive()
        return JSONResponse({"state": "alive" if works else "dead"}, 200 if works else 503)

    routes = [Route("/readyz", readyz), Route("/livez", livez)]
    others = Starlette(routes=routes, exception_handlers={HTTPException: _problem, Exception: _internal})

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raw: bytes = scope.get("raw_path") or scope["path"].encode()
            if raw.startswith(USERS) and b"/" not in raw[len(USERS) :] and len(raw) > len(USERS):
                await _user(raw[len(USERS) :], scope, receive, send, body, progress)
                return
        await others(scope, receive, send)

    return answer


async def _user(  # noqa: PLR0913, PLR0917 - ASGI's three, and what it takes to answer
    encoded: bytes,
    scope: Scope,
    receive: Receive,
    send: Send,
    body: Callable[[bytes], bytes | None],
    progress: Callable[[], Progress],
) -> None:
    method = scope["method"]
    if method not in {"GET", "HEAD"}:
        response = _problem_response(405, "method not allowed", "users are read only", {"allow": ALLOW})
        await response(scope, receive, send)
        return
    now = progress()
    if not now.serves:
        detail = now.reason or "the reader is not ready yet"
        report = {"state": now.state, "percent": now.percent, "secondsLeft": now.seconds_left}
        response = _problem_response(503, "not ready", detail, {"retry-after": RETRY_AFTER_SECONDS}, **report)
        await response(scope, receive, send)
        return
    try:
        found = body(_id_of(encoded)) if len(encoded) <= 3 * MAX_ID_BYTES else None
    except UnicodeDecodeError:
        found = None
    except Exception:
        logger.exception("reading the store failed")
        await _internal_response()(scope, receive, send)
        return
    if found is None:
        await _problem_response(404, "no such user", "no user has this id")(scope, receive, send)
        return
    length = str(len(found)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else found})


def _id_of(encoded: bytes) -> bytes:
    """Return the id that a path segment names; one that no record can have is b"", which none has.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
    """
    user_id = unquote_to_bytes(encoded) if b"%" in encoded else encoded
    if not user_id.isascii():
        user_id.decode()
    return user_id if len(user_id) <= MAX_ID_BYTES else b""


def _problem_response(
    status: int, title: str, detail: str, headers: dict[str, str] | None = None, **more: object
) -> Response:
    """Return an error as RFC 9457 has it."""
    document = {"title": title, "status": status, "detail": detail, **more}
    return Response(json.dumps(document), status, headers, PROBLEM)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    if error.status_code == 404:
        return _problem_response(404, "no such route", f"there is nothing at {request.url.path}; try /users/{{userId}}")
    return _problem_response(error.status_code, error.detail.lower(), error.detail, dict(error.headers or {}))


async def _internal(request: Request, error: Exception) -> Response:
    logger.error("answering %s failed", request.url.path, exc_info=error)
    return _internal_response()


def _internal_response() -> Response:
    return _problem_response(500, "internal error", "the reader's log says more")
