"""The application out of its parts, alike in every process that answers. Here further routes come in."""

import asyncio
from collections.abc import Callable

from reader.http import events_route, static_routes
from reader.http.events import EventStreams
from reader.http.routes import Application
from reader.http.server import StopSignal
from reader.http.users import UserResponses
from reader.settings import ReaderSettings
from reader.status.counters import ResponseCounters
from reader.status.readiness import Readiness
from reader.storage.read_view import ReadView


def build_application(  # noqa: PLR0913 - what a process knows of the reader
    settings: ReaderSettings,
    stopping: StopSignal,
    *,
    view: Callable[[], ReadView],
    progress: Callable[[], Readiness],
    alive: Callable[[], bool],
    metrics: Callable[[], bytes],
    traffic: ResponseCounters,
) -> Application:
    """Return what answers in this process; to be called in its event loop.

    Args:
        settings: of the reader.
        stopping: ends what would not end by itself.
        view: looks at the store as it is now.
        progress: how far the reader is.
        alive: whether it still does its work.
        metrics: what `/metrics` says.
        traffic: where this process's answers are counted.
    """
    events = EventStreams(view, progress, settings.reader_max_streams)
    stopping.add(events.close)
    return Application(
        UserResponses(view, progress, asyncio.get_running_loop().call_soon),
        progress=progress,
        alive=alive,
        metrics=metrics,
        traffic=traffic,
        routes=[*events_route.routes(events), *static_routes.routes()],
        origins=settings.origins,
    )
