"""Build the reader's ASGI application. Every serving process uses this; new routes are added here."""

import asyncio
from collections.abc import Callable

from reader.http import events_route, static_routes
from reader.http.events import EventStreams
from reader.http.resource import Resource
from reader.http.routes import Application
from reader.http.server import StopSignal
from reader.http.users import UserResponses
from reader.settings import ReaderSettings
from reader.status.counters import ResponseCounters
from reader.storage.read_view import ReadView
from replication.readiness import Readiness


def build_application(  # noqa: PLR0913 - what a process knows of the reader
    settings: ReaderSettings,
    stop_signal: StopSignal,
    *,
    open_view: Callable[[], ReadView],
    readiness: Callable[[], Readiness],
    is_alive: Callable[[], bool],
    render_metrics: Callable[[], bytes],
    counters: ResponseCounters,
) -> Application:
    """Return this process's application; to be called in its event loop.

    Args:
        settings: of the reader.
        stop_signal: ends the streams, which would not end by themselves.
        open_view: returns a read view of the store as it is now.
        readiness: how far the reader is.
        is_alive: whether the process still does its work.
        render_metrics: returns the body of `/metrics`.
        counters: of this process's responses.
    """
    resource = Resource(settings.reader_resource)
    users = UserResponses(open_view, readiness, asyncio.get_running_loop().call_soon, resource)
    streams = EventStreams(open_view, readiness, settings.reader_max_streams, resource)
    stop_signal.add_callback(streams.close)
    return Application(
        users,
        readiness=readiness,
        is_alive=is_alive,
        render_metrics=render_metrics,
        counters=counters,
        routes=[*events_route.build_routes(streams), *static_routes.build_routes(resource, users.read_shape)],
        origins=settings.origins,
    )
