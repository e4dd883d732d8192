"""`GET /users/{userId}/events`: a user's record and its changes, as they come. Knows Starlette; decides nothing."""

from collections.abc import Sequence

from starlette import responses
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from reader.http import problems
from reader.http.events import EventStreams, Stream
from reader.http.routes import ENDLESS, PreparedResponse
from reader.http.updates import parse_last_event_id
from shared.records import decode_user_id

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""No intermediary may hold events back; the second header is for nginx."""

EVENT_STREAM = "text/event-stream"


def build_routes(streams: EventStreams) -> Sequence[BaseRoute]:
    """Return the route.

    Args:
        streams: of this process.
    """

    async def follow_user(request: Request) -> responses.Response:
        user_id = decode_user_id(request.path_params["user_id"].encode())
        refusal = streams.check(user_id)
        if refusal is not None:
            return PreparedResponse(refusal)
        if user_id is None:
            return PreparedResponse(streams.resource.unknown)
        last = request.headers.get("last-event-id")
        known = parse_last_event_id(None if last is None else last.encode("latin-1"))
        if request.scope["http_version"] == "1.0":
            # HTTP/1.0 cannot frame a body without an end: this client gets what is new now, and reconnects for more.
            return responses.Response(streams.encode_current(user_id, known), 200, HEADERS, EVENT_STREAM)
        if not streams.have_room:
            return PreparedResponse(problems.TOO_MANY_STREAMS)
        if request.method == "HEAD":
            return responses.StreamingResponse(iter(()), 200, HEADERS, EVENT_STREAM)
        request.scope[ENDLESS] = True
        return _EventStreamResponse(streams, streams.open_stream(user_id, known))

    return [Route(f"{streams.resource.path}/{{user_id}}/events", follow_user)]


class _EventStreamResponse(responses.StreamingResponse):
    """A response with one stream, which is closed when the client disconnects.

    Args:
        streams: of this process.
        stream: what is sent.
    """

    def __init__(self, streams: EventStreams, stream: Stream) -> None:
        super().__init__(streams.read_stream(stream), 200, HEADERS, EVENT_STREAM)
        self._streams = streams
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client disconnects or the reader stops."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.close_stream(self._stream)
