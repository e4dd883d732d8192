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
from typing import NamedTuple

from reader.http import problems
from reader.http.absence import find_absence
from reader.http.resource import USERS, Resource
from reader.http.response import Response
from reader.storage.read_view import ReadView, StoredRecord
from replication.readiness import Readiness

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.05
RETRY_SECONDS = 1.0
KEEP_ALIVE_SECONDS = 5.0
"""Longest silence of a stream: then a comment shows the client that the stream lives, and us that the client does."""

RETRY_LINE = b"retry: 1000\n\n"
"""How long a client waits before it reconnects, in ms."""

LOOKUPS_PER_TURN = 16
"""Users looked up before the event loop gets its turn; a record may be large."""


class EventId(NamedTuple):
    """The `id` of an event: an offset of the topic user-info.

    Args:
        partition: of the topic.
        offset: in that partition.
        tag: of the topic; None where a client sends none.
    """

    partition: int
    offset: int
    tag: bytes | None = None


class KnownVersion(NamedTuple):
    """Which version of a user a client knows.

    Args:
        event_id: of that version; None if the client knows none, or an absence that has no offset.
        absent: whether it knows that the user does not exist.
    """

    event_id: EventId | None = None
    absent: bool = False


NOTHING_KNOWN = KnownVersion()


class Update(NamedTuple):
    """What a client has to be sent.

    Args:
        known: what the client knows afterwards.
        found: the record; None if there is no such user.
    """

    known: KnownVersion
    found: StoredRecord | None

    def encode(self, resource: Resource = USERS) -> bytes:
        """Return the event as it is sent, of a user who is served as the resource."""
        name, body = (b"absent", resource.unknown.body) if self.found is None else (b"record", self.found.body)
        data = b"".join(b"data: %b\n" % line for line in body.splitlines() or [b""])
        last = self.known.event_id
        id_line = b"" if last is None else b"id: %d:%d:%b\n" % (last.partition, last.offset, last.tag or b"")
        return id_line + b"event: %b\n" % name + data + b"\n"


def parse_last_event_id(last_event_id: bytes | None) -> KnownVersion:
    """Return what a reconnecting client knows.

    Args:
        last_event_id: the header's value, `<partition>:<offset>:<topic>`. The topic may be missing, so that the header
            User-Info-Offset of another response works too. Anything else counts as nothing.
    """
    partition, _, rest = (last_event_id or b"").partition(b":")
    offset, colon, tag = rest.partition(b":")
    if not all(number.isdigit() and len(number) <= 19 for number in (partition, offset)):
        return NOTHING_KNOWN
    return KnownVersion(EventId(int(partition), int(offset), tag if colon else None))


def find_update(view: ReadView, key: bytes, known: KnownVersion) -> Update | None:
    """Return what a client has to be sent; None if it knows the newest version.

    An absent user has no record and so no offset. Its event gets that up to which the absence is true, as a 404 does:
    the newest offset applied of the user's partition, which is where the client last saw the user.

    Args:
        view: of the store now.
        key: the user's.
        known: what the client knows.
    """
    last = known.event_id
    if last is not None and last.tag not in {None, view.tag}:
        last = None  # of another topic, whose offsets mean nothing here
    found = view.find(key)
    if found is not None:
        if last is not None and last.partition == found.partition and last.offset >= found.offset:
            return None
        return Update(KnownVersion(EventId(found.partition, found.offset, view.tag)), found)
    if known.absent:
        return None
    if last is None:
        absence = find_absence(view, key)
        event_id = None if absence is None else EventId(*absence, view.tag)
        return Update(KnownVersion(event_id, absent=True), None)
    newest = (view.position(last.partition) or 0) - 1
    if newest <= last.offset:
        return None
    return Update(KnownVersion(EventId(last.partition, newest, view.tag), absent=True), None)


class Stream:
    """One client's stream.

    Args:
        key: of the user that it follows.
        known: what its client knows.
    """

    def __init__(self, key: bytes, known: KnownVersion) -> None:
        self.key = key
        self.known = known
        self.update_due = asyncio.Event()


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

    def check_ready(self) -> Response | None:
        """Return the 503 that clients get before the reader is ready, else None."""
        readiness = self._readiness()
        return None if readiness.serves else problems.not_ready(readiness)

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
        while not self._closed:
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
        """Return the streams that have an update, each with its update."""
        if not self._readiness().serves:
            return []
        view = self._open_view()
        try:
            found = [(stream, find_update(view, stream.key, stream.known)) for stream in streams]
        finally:
            view.close()
        return [(stream, update) for stream, update in found if update is not None]
