"""Changes of users for whoever listens, as server-sent events. Knows no server, no framework, and nothing of Kafka.

While anybody listens, the store is looked at again and again, so that every process that can read it can tell of
changes, and a process that nobody listens to pays nothing. What a stream says is what a read would be answered at that
moment, never anything older than what it said before, and always the newest in the end. Nothing is queued: a client
that is slow to read misses what came between.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice
from typing import NamedTuple

from reader.http import problems
from reader.http.response import Response
from reader.http.users import not_ready
from reader.status.readiness import Readiness
from reader.storage.read_view import ReadView, StoredRecord

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.05
RETRY_SECONDS = 1.0
KEEP_ALIVE_SECONDS = 5.0
"""How long a stream is silent at most: a comment shows the client that it goes on, and us that the client does."""

RETRY_LINE = b"retry: 1000\n\n"
"""When a client is to come back, in ms."""

LOOKUPS_PER_TURN = 16
"""Users that are looked up without letting the event loop go on; a record may be large."""


class EventId(NamedTuple):
    """A place in a topic, which is also the `id` of an event.

    Args:
        partition: of the topic.
        offset: in that partition.
        tag: of the topic; None where a client does not say.
    """

    partition: int
    offset: int
    tag: bytes | None = None


class KnownVersion(NamedTuple):
    """What a client knows.

    Args:
        place: as of which it knows it; None where it has no place.
        absent: whether it knows that there is no such user.
    """

    place: EventId | None = None
    absent: bool = False


NOTHING_KNOWN = KnownVersion()


class Update(NamedTuple):
    """What a client is to be told.

    Args:
        told: what it knows afterwards.
        found: the record; None where there is no such user.
    """

    told: KnownVersion
    found: StoredRecord | None

    def event(self) -> bytes:
        """Return it as it is sent."""
        name, body = (b"absent", problems.UNKNOWN_USER.body) if self.found is None else (b"record", self.found.body)
        data = b"".join(b"data: %b\n" % line for line in body.splitlines() or [b""])
        place = self.told.place
        where = b"" if place is None else b"id: %d:%d:%b\n" % (place.partition, place.offset, place.tag or b"")
        return where + b"event: %b\n" % name + data + b"\n"


def parse_last_event_id(last_event_id: bytes | None) -> KnownVersion:
    """Return what a client knows that comes back.

    Args:
        last_event_id: as it says it: `<partition>:<offset>:<topic>`, the last of which may be missing, so that the
            header User-Info-Offset of another answer will do; anything else is as good as nothing.
    """
    partition, _, rest = (last_event_id or b"").partition(b":")
    offset, colon, tag = rest.partition(b":")
    if not all(number.isdigit() and len(number) <= 19 for number in (partition, offset)):
        return NOTHING_KNOWN
    return KnownVersion(EventId(int(partition), int(offset), tag if colon else None))


def find_update(view: ReadView, key: bytes, told: KnownVersion) -> Update | None:
    """Return what is new to a client; None where nothing is.

    An absent user has no record, and so no offset: its place is that of the last record that was taken in of the
    partition in which the client last saw the user, which a deletion cannot come after.

    Args:
        view: of the store now.
        key: the user's.
        told: what the client knows.
    """
    place = told.place
    if place is not None and place.tag not in {None, view.tag}:
        place = None  # of another topic, whose offsets say nothing here
    found = view.find(key)
    if found is not None:
        if place is not None and place.partition == found.partition and place.offset >= found.offset:
            return None
        return Update(KnownVersion(EventId(found.partition, found.offset, view.tag)), found)
    if told.absent:
        return None
    if place is None:
        return Update(KnownVersion(None, absent=True), None)
    newest = (view.position(place.partition) or 0) - 1
    if newest <= place.offset:
        return None
    return Update(KnownVersion(EventId(place.partition, newest, view.tag), absent=True), None)


class Stream:
    """One client's stream.

    Args:
        key: of the user that it listens to.
        told: what it knows already.
    """

    def __init__(self, key: bytes, told: KnownVersion) -> None:
        self.key = key
        self.told = told
        self.due = asyncio.Event()


class EventStreams:
    """The streams of one process; to be used in the event loop only.

    Args:
        view: looks at the store as it is now.
        progress: how far the reader is.
        most: streams at a time.
    """

    def __init__(self, view: Callable[[], ReadView], progress: Callable[[], Readiness], most: int = 256) -> None:
        self._view = view
        self._progress = progress
        self._most = most
        self._streams: set[Stream] = set()
        self._polling: asyncio.Task[None] | None = None
        self._closed = False

    def refusal(self) -> Response | None:
        """Return what whoever asks is answered before the reader is ready; None where it is."""
        progress = self._progress()
        return None if progress.serves else not_ready(progress)

    def open(self, key: bytes, told: KnownVersion) -> Stream | None:
        """Begin a stream, to be ended by `leave`; None where there are as many as there may be.

        Args:
            key: of the user.
            told: what the client knows already.
        """
        if self._closed or len(self._streams) >= self._most:
            return None
        stream = Stream(key, told)
        self._streams.add(stream)
        if self._polling is None:
            self._polling = asyncio.get_running_loop().create_task(self._poll())
        return stream

    def leave(self, stream: Stream) -> None:
        """End a stream."""
        self._streams.discard(stream)

    def close(self) -> None:
        """End all streams, for good."""
        self._closed = True
        for stream in self._streams:
            stream.due.set()

    def now(self, key: bytes, told: KnownVersion) -> bytes:
        """Return what there is to tell a client now, which may be nothing."""
        found = self._news([Stream(key, told)])
        return b"".join([RETRY_LINE, *(new.event() for _, new in found)])

    async def of(self, stream: Stream) -> AsyncIterator[bytes]:
        """Return the pieces of a stream, as they are sent."""
        yield RETRY_LINE
        while not self._closed:
            stream.due.clear()
            for _, new in self._news([stream]):
                stream.told = new.told
                yield new.event()
            try:
                await asyncio.wait_for(stream.due.wait(), KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield b":\n\n"

    async def _poll(self) -> None:
        """Look at the store at intervals, and wake the streams that there are news for."""
        while self._streams:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._wake()
            except Exception:
                logger.exception("looking for changes failed unexpectedly; trying again")
                await asyncio.sleep(RETRY_SECONDS)
        self._polling = None

    async def _wake(self) -> None:
        waiting = iter([stream for stream in self._streams if not stream.due.is_set()])
        while some := list(islice(waiting, LOOKUPS_PER_TURN)):
            for stream, _ in self._news(some):
                stream.due.set()
            await asyncio.sleep(0)

    def _news(self, streams: Iterable[Stream]) -> list[tuple[Stream, Update]]:
        """Return what is new to each of some streams, leaving out those that nothing is new to."""
        if not self._progress().serves:
            return []
        view = self._view()
        try:
            found = [(stream, find_update(view, stream.key, stream.told)) for stream in streams]
        finally:
            view.close()
        return [(stream, new) for stream, new in found if new is not None]
