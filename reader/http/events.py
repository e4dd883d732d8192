"""Changes of users as server-sent events. Knows no server, no framework, and nothing of Kafka.

While there are streams, the store is polled. So every process that can read the store can serve streams, and a process
without streams pays nothing. An event holds what a read would return at that moment. A stream never goes back to an
older version, and always arrives at the newest one. Nothing is queued: a client that reads slowly misses versions in
between.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice

from reader.http import problems
from reader.http.misdirection import find_misdirection
from reader.http.resource import USERS, Resource
from reader.http.response import Response
from reader.http.updates import KnownVersion, Update, find_update
from reader.storage.read_view import ReadView
from replication.readiness import Readiness
from shared.shards import Share

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.05
RETRY_SECONDS = 1.0
KEEP_ALIVE_SECONDS = 5.0
"""Longest silence of a stream: then a comment shows the client that the stream lives, and us that the client does."""

RETRY_LINE = b"retry: 1000\n\n"
"""How long a client waits before it reconnects, in ms."""

LOOKUPS_PER_TURN = 16
"""Users looked up before the event loop gets its turn; a record may be large."""


class Stream:
    """One client's stream.

    Args:
        key: of the user that it follows.
        known: what its client knows.

    Attributes:
        update_due: set when there is something to send, or the stream ends.
        is_elsewhere: whether the reader has come to hold another shard, so that the stream ends.
    """

    def __init__(self, key: bytes, known: KnownVersion) -> None:
        self.key = key
        self.known = known
        self.update_due = asyncio.Event()
        self.is_elsewhere = False


class EventStreams:
    """The streams of one process; to be used in the event loop only.

    Args:
        open_view: returns a read view of the store as it is now.
        readiness: how far the reader is.
        max_streams: how many may be open at a time.
        resource: what the users are served as.
    """

    def __init__(
        self,
        open_view: Callable[[], ReadView],
        readiness: Callable[[], Readiness],
        max_streams: int = 256,
        resource: Resource = USERS,
    ) -> None:
        self.resource = resource
        self._open_view = open_view
        self._readiness = readiness
        self._max_streams = max_streams
        self._streams: set[Stream] = set()
        self._polling: asyncio.Task[None] | None = None
        self._closed = False

    def check(self, key: bytes | None) -> Response | None:
        """Return the 503 that clients get before the reader is ready, or the 421 of a user of another shard, else None.

        Args:
            key: of the user; None, which is no id, is in no shard.
        """
        readiness = self._readiness()
        if not readiness.serves:
            return problems.not_ready(readiness)
        view = self._open_view()
        try:
            return None if key is None else find_misdirection(view.share, [key], self.resource)
        finally:
            view.close()

    @property
    def have_room(self) -> bool:
        """Whether another stream can be opened."""
        return not self._closed and len(self._streams) < self._max_streams

    def open_stream(self, key: bytes, known: KnownVersion) -> Stream:
        """Open a stream, which `close_stream` must close; only while there is room.

        Args:
            key: of the user.
            known: what the client knows already.
        """
        stream = Stream(key, known)
        self._streams.add(stream)
        if self._polling is None:
            self._polling = asyncio.get_running_loop().create_task(self._poll())
        return stream

    def close_stream(self, stream: Stream) -> None:
        """Remove a stream; polling ends with the last one."""
        self._streams.discard(stream)

    def close(self) -> None:
        """End all streams, and open no more."""
        self._closed = True
        for stream in self._streams:
            stream.update_due.set()

    def encode_current(self, key: bytes, known: KnownVersion) -> bytes:
        """Return what a client has to be sent now, which may be nothing, as a body with an end."""
        updates = self._find_updates([Stream(key, known)])
        return b"".join([RETRY_LINE, *(update.encode(self.resource) for _, update in updates)])

    async def read_stream(self, stream: Stream) -> AsyncIterator[bytes]:
        """Yield the pieces of a stream, as they are sent."""
        yield RETRY_LINE
        while not self._closed and not stream.is_elsewhere:
            stream.update_due.clear()
            for _, update in self._find_updates([stream]):
                stream.known = update.known
                yield update.encode(self.resource)
            try:
                await asyncio.wait_for(stream.update_due.wait(), KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield b":\n\n"

    async def _poll(self) -> None:
        """Look for updates at intervals, and wake the streams that have one, until there are no streams."""
        while self._streams:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._wake_streams()
            except Exception:
                logger.exception("looking for changes failed unexpectedly; trying again")
                await asyncio.sleep(RETRY_SECONDS)
        self._polling = None

    async def _wake_streams(self) -> None:
        waiting = iter([stream for stream in self._streams if not stream.update_due.is_set()])
        while some := list(islice(waiting, LOOKUPS_PER_TURN)):
            for stream, _ in self._find_updates(some):
                stream.update_due.set()
            await asyncio.sleep(0)

    def _find_updates(self, streams: Iterable[Stream]) -> list[tuple[Stream, Update]]:
        """Return the streams that have an update, each with its update; end those of users of another shard."""
        if not self._readiness().serves:
            return []
        view = self._open_view()
        try:
            here = [stream for stream in streams if not self._end_elsewhere(stream, view.share)]
            found = [(stream, find_update(view, stream.key, stream.known)) for stream in here]
        finally:
            view.close()
        return [(stream, update) for stream, update in found if update is not None]

    def _end_elsewhere(self, stream: Stream, share: Share | None) -> bool:
        """End a stream if the reader has come to hold another shard than its user's, and return whether it has.

        It does not know such a user any more, which is no reason to call the user absent.
        """
        if find_misdirection(share, [stream.key], self.resource) is None:
            return False
        stream.is_elsewhere = True
        stream.update_due.set()
        return True
