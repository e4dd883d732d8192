"""What an event stream sends, and when, without a server."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.http.events import EventStreams
from reader.http.updates import NOTHING_KNOWN, EventId, KnownVersion, Update, find_update, parse_last_event_id
from reader.storage.read_view import StoredRecord
from replication.readiness import Readiness
from shared.topics import partition_of
from tests.support.read_views import DictReadView

ALICE = StoredRecord(3, 1042, 0, b'{"userId":"alice"}')
TAG = b"0badcafe"


HERE = DictReadView({b"alice": ALICE}, {3: 1050}, TAG)
"""A store that holds alice."""

GONE = DictReadView({}, {3: 1050}, TAG)
"""The same store without her."""


def encode_event(view: DictReadView, known: KnownVersion) -> bytes | None:
    """Return the event that a client of alice gets."""
    found = find_update(view, b"alice", known)
    return None if found is None else found.encode()


def test_a_new_client_gets_the_record_and_its_offset() -> None:
    """The event holds what a read would return; its id is the record's offset in the topic."""
    assert b'id: 3:1042:0badcafe\nevent: record\ndata: {"userId":"alice"}\n\n' == encode_event(HERE, NOTHING_KNOWN)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_a_record_of_several_lines_arrives_as_one(line_end: bytes) -> None:
    """No line of a record can end an event, or begin another field of it."""
    view = DictReadView({b"alice": StoredRecord(3, 1042, 0, b"{" + line_end + b"id: 9}")}, tag=TAG)
    assert b"id: 3:1042:0badcafe\nevent: record\ndata: {\ndata: id: 9}\n\n" == encode_event(view, NOTHING_KNOWN)


def test_an_unknown_user_is_sent_as_absent() -> None:
    """It has no offset in the topic, so the event has no id; it is sent once."""
    view = GONE
    first = find_update(view, b"alice", NOTHING_KNOWN)
    assert first is not None
    assert first.encode().startswith(b"event: absent\ndata: {")
    assert b"unknown-user" in first.encode()
    assert find_update(view, b"alice", first.known) is None


def test_an_absence_is_sent_with_the_offset_up_to_which_it_is_true() -> None:
    """As a 404 says it: a client that comes back with it gets nothing older, and misses nothing newer."""
    partition = partition_of(b"alice", 8)
    view = DictReadView({}, {partition: 1050}, TAG, partitions=8)
    first = find_update(view, b"alice", NOTHING_KNOWN)
    assert first is not None
    assert first.encode().startswith(b"id: %d:1049:0badcafe\nevent: absent\n" % partition)
    assert find_update(DictReadView({}, {partition: 2000}, TAG, partitions=8), b"alice", first.known) is None
    came_back = parse_last_event_id(b"%d:1049:0badcafe" % partition)
    for offset, is_sent in ((1042, False), (1050, True)):
        later = DictReadView({b"alice": StoredRecord(partition, offset, 0, b"{}")}, tag=TAG, partitions=8)
        for known in (first.known, came_back):
            assert is_sent == (find_update(later, b"alice", known) is not None)
    assert find_update(view, b"alice", parse_last_event_id(b"%d:1049" % partition)) is None


def test_a_deletion_is_sent_with_the_offset_applied_so_far() -> None:
    """Its id is newer than the record's, and it is not sent again when other users' records arrive."""
    view = GONE
    deletion = find_update(view, b"alice", KnownVersion(EventId(3, 1042, TAG)))
    assert deletion is not None
    assert deletion.encode().startswith(b"id: 3:1049:0badcafe\nevent: absent\n")
    assert find_update(DictReadView({}, {3: 2000}), b"alice", deletion.known) is None
    assert find_update(DictReadView({b"alice": StoredRecord(3, 1050, 0, b"{}")}), b"alice", deletion.known) is not None


@pytest.mark.parametrize(
    ("last_event_id", "is_sent"),
    [
        (None, True),
        (b"3:1041:0badcafe", True),
        (b"3:1042:0badcafe", False),
        (b"3:1043:0badcafe", False),
        (b"3:1041", True),
        (b"3:1042", False),
        (b"3:1042:12345678", True),
        (b"2:1042:0badcafe", True),
        (b"3:1042x", True),
        (b"3", True),
        (b"", True),
        (b"3:-1", True),
        (b"3:" + b"9" * 20, True),
    ],
)
def test_a_reconnecting_client_gets_what_is_newer(last_event_id: bytes | None, is_sent: bool) -> None:
    """Nothing as old as what it saw; the current state if it saw another topic, or sends a malformed id."""
    assert is_sent == (encode_event(HERE, parse_last_event_id(last_event_id)) is not None)


def test_a_reconnecting_client_learns_of_a_deletion_that_it_missed() -> None:
    """Unless this reader is behind what the client has seen."""
    ahead, behind = DictReadView({}, {3: 1044}), DictReadView({}, {3: 1042})
    assert encode_event(ahead, parse_last_event_id(b"3:1042:0badcafe")) is not None
    assert encode_event(behind, parse_last_event_id(b"3:1042:0badcafe")) is None
    assert encode_event(DictReadView({}, {}), parse_last_event_id(b"3:1042:0badcafe")) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30), st.integers(0, 40))
def test_events_never_go_back_and_end_with_the_newest_version(steps: list[tuple[int, bool]], known_offset: int) -> None:
    """At whichever moments a client reads, offsets ascend, and the last event is the current state."""
    known = parse_last_event_id(b"3:%d" % known_offset)
    position, record, sent = 0, None, list[Update]()
    for others, exists in [*steps, (50, True)]:
        position += others + 1
        record = StoredRecord(3, position - 1, 0, b"{}") if exists else None
        new = find_update(DictReadView({} if record is None else {b"alice": record}, {3: position}), b"alice", known)
        if new is not None:
            known = new.known
            sent.append(new)
    offsets = [new.known.event_id.offset for new in sent if new.known.event_id is not None]
    assert offsets == sorted(set(offsets))
    assert all(offset > known_offset for offset in offsets)
    assert record == sent[-1].found


def test_streams_survive_a_failing_store() -> None:
    """The store is polled again after an error, and the missed change is sent."""
    views: list[DictReadView | None] = [HERE, None, DictReadView({b"alice": StoredRecord(3, 1043, 0, b"{}")})]

    def view() -> DictReadView:
        found = views.pop(0) if len(views) > 1 else views[0]
        if found is None:
            raise OSError("not now")
        return replace(found)

    async def read_events() -> list[bytes]:
        events = EventStreams(view, lambda: Readiness("ready", serves=True))
        stream = events.open_stream(b"alice", NOTHING_KNOWN)
        pieces = events.read_stream(stream)
        sent = [await anext(pieces) for _ in range(3)]
        events.close()
        assert [] == [piece async for piece in pieces]
        events.close_stream(stream)
        return sent

    sent = asyncio.run(asyncio.wait_for(read_events(), 30))
    assert [b"id: 3:1042", b"id: 3:1043"] == [piece.split(b":0badcafe")[0] for piece in sent[1:]]
