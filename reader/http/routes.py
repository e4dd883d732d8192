"""The reader's routes, as an ASGI application of Starlette; further routes are handed in.

Routes match the path as it was sent, percent-encoded, so an id may hold an encoded slash. A route decodes what it takes
from the path (see shared.records.decode_user_id). The route of one user is here for completeness: nearly all of
these requests take the fast path (reader.http.fast_path).
"""

import logging
import time
from collections.abc import Callable, Sequence

from starlette import responses
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from reader.http import problems
from reader.http.conditions import parse_conditions
from reader.http.response import Response
from reader.http.users import UserResponses
from reader.status.counters import ResponseCounters
from reader.status.prometheus import CONTENT_TYPE
from replication.readiness import Readiness
from shared.clock import now_ms

logger = logging.getLogger(__name__)

EXPOSED_HEADERS = [
    "etag",
    "retry-after",
    "user-info-offset",
    "user-info-topic",
    "user-info-source-time-ms",
    "user-info-behind-seconds",
]
"""Response headers that scripts of an allowed origin may read."""

ALLOWED_HEADERS = ["if-none-match", "if-min-offset", "max-staleness-seconds", "last-event-id"]
"""Request headers that scripts of an allowed origin may send."""

ENDLESS = "reader.endless"
"""Key in the scope of a request whose response lasts as long as the client stays connected."""


class Application:
    """The reader's ASGI application.

    Args:
        users: responses about users; to be used in the event loop only.
        readiness: how far the reader is.
        is_alive: whether the process still does its work.
        render_metrics: returns the body of `/metrics`.
        counters: of this process's responses.
        routes: further routes, tried before the reader's own; they match the path as it was sent.
        origins: allowed for cross-origin scripts, as `Origin` names them, or `*`; empty: none.
    """

    def __init__(  # noqa: PLR0913 - what the routes are about
        self,
        users: UserResponses,
        *,
        readiness: Callable[[], Readiness],
        is_alive: Callable[[], bool],
        render_metrics: Callable[[], bytes],
        counters: ResponseCounters,
        routes: Sequence[BaseRoute] = (),
        origins: Sequence[str] = (),
    ) -> None:
        self.users = users
        self.counters = counters
        cors = Middleware(
            _CrossOriginMiddleware,
            allow_methods=["GET", "HEAD"],
            allow_origins=origins,
            allow_headers=ALLOWED_HEADERS,
            expose_headers=EXPOSED_HEADERS,
            max_age=86_400,
        )

        async def handle_http_error(request: Request, error: Exception) -> responses.Response:
            assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
            if error.status_code == 404:
                return PreparedResponse(problems.unknown_route(request.scope["path"], users.resource.path))
            if error.status_code == 405:
                return PreparedResponse(problems.METHOD_NOT_ALLOWED)
            return PreparedResponse(problems.problem(error.status_code, "refused", error.detail.lower(), error.detail))

        self._starlette = Starlette(
            routes=[
                *routes,
                *_user_routes(users),
                *_health_routes(readiness, is_alive),
                _metrics_route(render_metrics),
            ],
            middleware=[cors] if origins else [],
            exception_handlers={HTTPException: handle_http_error, Exception: _handle_internal_error},
        )
        self._starlette.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            scope["path"] = scope["raw_path"].decode("ascii")
        began = time.perf_counter()

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.counters.count_response(message["status"], time.perf_counter() - began)
            await send(message)

        try:
            await self._starlette(scope, receive, send_counted)
        except Exception:  # noqa: BLE001 - Starlette has sent a 500 and logged the error, and raises it all the same
            logger.debug("responded 500")


class PreparedResponse(responses.Response):
    """A response of ours as Starlette sends it, header lines and body unchanged."""

    def __init__(self, response: Response) -> None:
        self.status_code = response.status
        self.body = response.body
        self.raw_headers = response.headers()
        self.background = None


class _CrossOriginMiddleware(CORSMiddleware):
    """Starlette's, but what it refuses is a problem document, as everything that is refused."""

    def preflight_response(self, request_headers: Headers) -> responses.Response:
        response = super().preflight_response(request_headers)
        if response.status_code == 200:
            return response
        what = bytes(response.body).decode().removeprefix("Disallowed CORS ")
        refusal = PreparedResponse(problems.bad_request(f"scripts of other origins may not ask so: {what} not allowed"))
        fields = [field for field in response.raw_headers if not field[0].startswith(b"content-")]
        refusal.raw_headers = [*refusal.raw_headers, *fields]
        return refusal


def _user_routes(users: UserResponses) -> list[BaseRoute]:
    async def get_user(request: Request) -> responses.Response:
        encoded: str = request.path_params["user_id"]
        return PreparedResponse(users.get_user(encoded.encode(), parse_conditions(request.headers.raw)))

    async def get_users(request: Request) -> responses.Response:
        return PreparedResponse(users.get_users(request.scope["query_string"], parse_conditions(request.headers.raw)))

    path = users.resource.path
    return [Route(f"{path}/{{user_id}}", get_user), Route(path, get_users)]


def _health_routes(readiness: Callable[[], Readiness], is_alive: Callable[[], bool]) -> list[BaseRoute]:
    async def readyz(_: Request) -> responses.Response:
        now = readiness()
        too_stale = now.explain_staleness(now_ms())
        ready = now.accepts_traffic and too_stale is None
        report = now.to_document() if too_stale is None else {**now.to_document(), "reason": too_stale}
        return responses.JSONResponse(report, 200 if ready else 503, {} if ready else {"retry-after": "1"})

    async def livez(_: Request) -> responses.Response:
        alive = is_alive()
        return responses.JSONResponse({"state": "alive" if alive else "dead"}, 200 if alive else 503)

    return [Route("/readyz", readyz), Route("/livez", livez)]


def _metrics_route(render_metrics: Callable[[], bytes]) -> BaseRoute:
    async def metrics(_: Request) -> responses.Response:
        return responses.Response(render_metrics(), media_type=CONTENT_TYPE)

    return Route("/metrics", metrics)


async def _handle_internal_error(request: Request, error: Exception) -> responses.Response:
    logger.error("the request for %s failed", request.scope["path"], exc_info=error)
    return PreparedResponse(problems.INTERNAL)
