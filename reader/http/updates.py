"""What a client that follows a user knows, and what it has to be sent. Pure."""

from typing import NamedTuple

from reader.http.absence import find_absence
from reader.http.resource import USERS, Resource
from reader.storage.read_view import ReadView, StoredRecord


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
