"""The transport that uvicorn's request cycle writes to, where the reader decides how a connection is closed."""

import asyncio
from collections.abc import Callable


class TransportWithOwnClose:
    """A transport's writing side, closed by a function of the connection.

    Has the three methods that uvicorn's RequestResponseCycle calls.

    Args:
        transport: where to write.
        close: called instead of the transport's own `close`.
    """

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close
