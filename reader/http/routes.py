"""The reader's HTTP routes. Nothing else knows Starlette, but routes that are handed in.

Routes match the path as it was sent, percent-encoding and all, so that an id may hold an encoded slash; a route decodes
what it takes out of it (see reader.http.users.decode_user_id). `GET /users/{userId}` is here for completeness: nearly
all of such requests take the short cut in reader.http.fast_path.
"""

import logging
import time
from collections.abc import Callable, Sequence

from starlette import responses
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from reader.http import problems
from reader.http.response import Response
from reader.http.users import UserResponses, parse_conditions
from reader.status.counters import ResponseCounters
from reader.status.prometheus import CONTENT_TYPE
from reader.status.readiness import Readiness

logger = logging.getLogger(__name__)

EXPOSED_HEADERS = ["etag", "retry-after", "user-info-offset", "user-info-source-time-ms", "user-info-behind-seconds"]
"""Headers that a script of another origin may read, where such scripts are let in."""

ALLOWED_HEADERS = ["if-none-match", "if-min-offset", "max-staleness-seconds", "last-event-id"]

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
        answers: UserResponses,
        *,
        progress: Callable[[], Readiness],
        alive: Callable[[], bool],
        metrics: Callable[[], bytes],
        traffic: ResponseCounters,
        routes: Sequence[BaseRoute] = (),
        origins: Sequence[str] = (),
    ) -> None:
        self.answers = answers
        self.traffic = traffic
        cors = Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_headers=ALLOWED_HEADERS,
            expose_headers=EXPOSED_HEADERS,
            max_age=86_400,
        )
        self._starlette = Starlette(
            routes=[*routes, *_user_routes(answers), *_health_routes(progress, alive), _metrics_route(metrics)],
            middleware=[cors] if origins else [],
            exception_handlers={HTTPException: _handle_http_error, Exception: _handle_internal_error},
        )
        self._starlette.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            scope["path"] = scope["raw_path"].decode("ascii")
        began = time.perf_counter()

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.traffic.count_response(message["status"], time.perf_counter() - began)
            await send(message)

        try:
            await self._starlette(scope, receive, send_counted)
        except Exception:  # noqa: BLE001 - Starlette has answered and logged it, and hands it on all the same
            logger.debug("answered 500")


class PreparedResponse(responses.Response):
    """An answer as Starlette sends it: header lines and body as they stand."""

    def __init__(self, answer: Response) -> None:
        self.status_code = answer.status
        self.body = answer.body
        self.raw_headers = answer.headers()
        self.background = None


def _user_routes(answers: UserResponses) -> list[BaseRoute]:
    async def get_user(request: Request) -> responses.Response:
        encoded: str = request.path_params["user_id"]
        return PreparedResponse(answers.get_user(encoded.encode(), parse_conditions(request.headers.raw)))

    async def get_users(request: Request) -> responses.Response:
        return PreparedResponse(answers.get_users(request.scope["query_string"], parse_conditions(request.headers.raw)))

    return [Route("/users/{user_id}", get_user), Route("/users", get_users)]


def _health_routes(progress: Callable[[], Readiness], alive: Callable[[], bool]) -> list[BaseRoute]:
    async def readyz(_: Request) -> responses.Response:
        now = progress()
        too_stale = now.why_too_stale(time.time_ns() // 1_000_000)
        ready = now.ready and too_stale is None
        report = now.report() if too_stale is None else {**now.report(), "reason": too_stale}
        return responses.JSONResponse(report, 200 if ready else 503, {} if ready else {"retry-after": "1"})

    async def livez(_: Request) -> responses.Response:
        works = alive()
        return responses.JSONResponse({"state": "alive" if works else "dead"}, 200 if works else 503)

    return [Route("/readyz", readyz), Route("/livez", livez)]


def _metrics_route(exposition: Callable[[], bytes]) -> BaseRoute:
    async def metrics(_: Request) -> responses.Response:
        return responses.Response(exposition(), media_type=CONTENT_TYPE)

    return Route("/metrics", metrics)


async def _handle_http_error(request: Request, error: Exception) -> responses.Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    if error.status_code == 404:
        return PreparedResponse(problems.unknown_route(request.scope["path"]))
    if error.status_code == 405:
        return PreparedResponse(problems.METHOD_NOT_ALLOWED)
    return PreparedResponse(problems.problem(error.status_code, "refused", error.detail.lower(), error.detail))


async def _handle_internal_error(request: Request, error: Exception) -> responses.Response:
    logger.error("answering %s failed", request.scope["path"], exc_info=error)
    return PreparedResponse(problems.INTERNAL)
