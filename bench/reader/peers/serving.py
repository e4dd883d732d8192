"""How a peer is served: by uvicorn with the reader's settings, so that the servers are not what is compared."""

from collections.abc import Awaitable, Callable

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

USERS = b"/users/"

Lookup = Callable[[int], Awaitable[bytes | None]]
"""User id -> the body to answer with; None if there is no such user."""

Start = Callable[[], Awaitable[Lookup]]
"""Connects to the peer's database, inside the event loop."""


def build_application(start: Start) -> ASGIApp:
    """Return the shortest ASGI application that answers `GET /users/{userId}` by a look-up.

    Args:
        start: called once, when the server starts.
    """
    lookups: list[Lookup] = []

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            lookups.append(await start())
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        user_id: bytes = scope["raw_path"].removeprefix(USERS)
        body = await lookups[0](int(user_id)) if user_id.isdigit() else None
        status, content = (404, b'{"title":"no such user"}') if body is None else (200, body)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return answer


def serve(application: ASGIApp, port: int) -> None:
    """Answer on a port of 127.0.0.1 until stopped."""
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=port,
        http="httptools",
        access_log=False,
        log_level="warning",
        server_header=False,
        backlog=2048,
    )
