"""`GET /users/{userId}/events`: a user's record and its changes, as they come. Knows Starlette; decides nothing."""

from collections.abc import Sequence

from starlette import responses
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from reader.http import problems
from reader.http.events import EventStreams, Stream, parse_last_event_id
from reader.http.routes import ENDLESS, PreparedResponse
from reader.http.users import decode_user_id

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""No intermediary may keep events back; the second is for nginx."""

EVENT_STREAM = "text/event-stream"


def routes(events: EventStreams) -> Sequence[BaseRoute]:
    """Return the route.

    Args:
        events: where to listen.
    """

    async def listen(request: Request) -> responses.Response:
        refusal = events.refusal()
        if refusal is not None:
            return PreparedResponse(refusal)
        user_id = decode_user_id(request.path_params["user_id"].encode())
        if user_id is None:
            return PreparedResponse(problems.UNKNOWN_USER)
        if request.method == "HEAD":
            return responses.Response(None, headers={**HEADERS, "content-type": EVENT_STREAM})
        last = request.headers.get("last-event-id")
        told = parse_last_event_id(None if last is None else last.encode("latin-1"))
        if request.scope["http_version"] == "1.0":
            # A body without an end cannot be framed for it: it gets the news there is, and comes back for more.
            return responses.Response(events.now(user_id, told), 200, HEADERS, EVENT_STREAM)
        request.scope[ENDLESS] = True
        stream = events.open(user_id, told)
        return PreparedResponse(problems.TOO_MANY_STREAMS) if stream is None else _EventStreamResponse(events, stream)

    return [Route("/users/{user_id}/events", listen)]


class _EventStreamResponse(responses.StreamingResponse):
    """A stream, which ends when its client goes away.

    Args:
        events: where it listens.
        stream: what it listens to.
    """

    def __init__(self, events: EventStreams, stream: Stream) -> None:
        super().__init__(events.of(stream), 200, HEADERS, EVENT_STREAM)
        self._events = events
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what there is until nobody is there to read it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._events.leave(self._stream)
