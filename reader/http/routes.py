"""The reader's HTTP routes. Nothing else knows Starlette, but routes that are handed in.

Routes match the path as it was sent, percent-encoding and all, so that an id may hold an encoded slash; a route decodes
what it takes out of it (see reader.http.users.id_of). `GET /users/{userId}` is answered here for completeness: nearly
all of such requests take the short cut in reader.http.fast_path.
"""

import logging
import time
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from reader.http import problems
from reader.http.response import Answer
from reader.http.users import Answers, conditions_of
from reader.status.counters import Traffic
from reader.status.prometheus import CONTENT_TYPE
from reader.status.readiness import Progress

logger = logging.getLogger(__name__)

READABLE = ["etag", "retry-after", "user-info-offset", "user-info-source-time-ms", "user-info-behind-seconds"]
"""Headers that a script of another origin may read, where such scripts are let in."""

UNDERSTOOD = ["if-none-match", "if-min-offset", "max-staleness-seconds", "last-event-id"]

ENDLESS = "reader.endless"
"""Key in the scope of a request whose answer goes on for as long as the client is there."""


class Application:
    """The reader's ASGI application.

    Args:
        answers: answers to questions about users; must be used in the event loop only.
        progress: how far the reader is.
        alive: whether the process still does its work.
        metrics: what `/metrics` says.
        traffic: where answers are counted.
        routes: further routes, which come before the reader's own; they match the path as it was sent.
        origins: whose scripts may read, as `Origin` names them, or `*`; none: nobody's.
    """

    def __init__(  # noqa: PLR0913 - what the routes are about
        self,
        answers: Answers,
        *,
        progress: Callable[[], Progress],
        alive: Callable[[], bool],
        metrics: Callable[[], bytes],
        traffic: Traffic,
        routes: Sequence[BaseRoute] = (),
        origins: Sequence[str] = (),
    ) -> None:
        self.answers = answers
        self.traffic = traffic
        cors = Middleware(
            CORSMiddleware, allow_origins=origins, allow_headers=UNDERSTOOD, expose_headers=READABLE, max_age=86_400
        )
        self._starlette = Starlette(
            routes=[*routes, *_users(answers), *_health(progress, alive), _metrics(metrics)],
            middleware=[cors] if origins else [],
            exception_handlers={HTTPException: _refused, Exception: _internal},
        )
        self._starlette.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            scope["path"] = scope["raw_path"].decode("ascii")
        began = time.perf_counter()

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.traffic.answered(message["status"], time.perf_counter() - began)
            await send(message)

        try:
            await self._starlette(scope, receive, send_counted)
        except Exception:  # noqa: BLE001 - Starlette has answered and logged it, and hands it on all the same
            logger.debug("answered 500")


class Sent(Response):
    """An answer as Starlette sends it: header lines and body as they stand."""

    def __init__(self, answer: Answer) -> None:
        self.status_code = answer.status
        self.body = answer.body
        self.raw_headers = answer.headers()
        self.background = None


def _users(answers: Answers) -> list[BaseRoute]:
    async def user(request: Request) -> Response:
        encoded: str = request.path_params["user_id"]
        return Sent(answers.user(encoded.encode(), conditions_of(request.headers.raw)))

    async def users(request: Request) -> Response:
        return Sent(answers.users(request.scope["query_string"], conditions_of(request.headers.raw)))

    return [Route("/users/{user_id}", user), Route("/users", users)]


def _health(progress: Callable[[], Progress], alive: Callable[[], bool]) -> list[BaseRoute]:
    async def readyz(_: Request) -> Response:
        now = progress()
        too_stale = now.too_stale(time.time_ns() // 1_000_000)
        ready = now.ready and too_stale is None
        report = now.report() if too_stale is None else {**now.report(), "reason": too_stale}
        return JSONResponse(report, 200 if ready else 503, {} if ready else {"retry-after": "1"})

    async def livez(_: Request) -> Response:
        works = alive()
        return JSONResponse({"state": "alive" if works else "dead"}, 200 if works else 503)

    return [Route("/readyz", readyz), Route("/livez", livez)]


def _metrics(exposition: Callable[[], bytes]) -> BaseRoute:
    async def metrics(_: Request) -> Response:
        return Response(exposition(), media_type=CONTENT_TYPE)

    return Route("/metrics", metrics)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    if error.status_code == 404:
        return Sent(problems.unknown_route(request.scope["path"]))
    if error.status_code == 405:
        return Sent(problems.METHOD_NOT_ALLOWED)
    return Sent(problems.problem(error.status_code, "refused", error.detail.lower(), error.detail))


async def _internal(request: Request, error: Exception) -> Response:
    logger.error("answering %s failed", request.scope["path"], exc_info=error)
    return Sent(problems.INTERNAL)
