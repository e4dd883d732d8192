"""What a stream of events says, and when: the pure part."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.http.events import (
    NOTHING_KNOWN,
    EventId,
    EventStreams,
    KnownVersion,
    Update,
    find_update,
    parse_last_event_id,
)
from reader.status.readiness import Readiness
from reader.storage.read_view import StoredRecord
from tests.support.read_views import DictReadView

ALICE = StoredRecord(3, 1042, 0, b'{"userId":"alice"}')
TAG = b"0badcafe"


HERE = DictReadView({b"alice": ALICE}, {3: 1050}, TAG)
"""A store that holds alice."""

GONE = DictReadView({}, {3: 1050}, TAG)
"""The same store without her."""


def event(view: DictReadView, told: KnownVersion) -> bytes | None:
    """Return what a client of alice is sent."""
    found = find_update(view, b"alice", told)
    return None if found is None else found.encode()


def test_whoever_knows_nothing_is_told_the_record_and_its_place() -> None:
    """The event is what a read would be answered; its id is the record's place in the topic."""
    assert event(HERE, NOTHING_KNOWN) == b'id: 3:1042:0badcafe\nevent: record\ndata: {"userId":"alice"}\n\n'


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_a_record_of_several_lines_arrives_as_one(line_end: bytes) -> None:
    """No line of a record can end an event, or begin another field of it."""
    view = DictReadView({b"alice": StoredRecord(3, 1042, 0, b"{" + line_end + b"id: 9}")}, tag=TAG)
    assert event(view, NOTHING_KNOWN) == b"id: 3:1042:0badcafe\nevent: record\ndata: {\ndata: id: 9}\n\n"


def test_an_unknown_user_is_said_to_be_absent() -> None:
    """It has no place in the topic, so the event has no id; it is said once."""
    view = GONE
    first = find_update(view, b"alice", NOTHING_KNOWN)
    assert first is not None
    assert first.encode().startswith(b"event: absent\ndata: {")
    assert b"unknown-user" in first.encode()
    assert find_update(view, b"alice", first.known) is None


def test_a_deletion_is_said_after_the_record_as_of_what_has_been_read() -> None:
    """Its id lies after the record's, and is not said again when other users' records move on."""
    view = GONE
    deletion = find_update(view, b"alice", KnownVersion(EventId(3, 1042, TAG)))
    assert deletion is not None
    assert deletion.encode().startswith(b"id: 3:1049:0badcafe\nevent: absent\n")
    assert find_update(DictReadView({}, {3: 2000}), b"alice", deletion.known) is None
    assert find_update(DictReadView({b"alice": StoredRecord(3, 1050, 0, b"{}")}), b"alice", deletion.known) is not None


@pytest.mark.parametrize(
    ("last_event_id", "is_told"),
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
def test_whoever_comes_back_is_told_what_is_newer(last_event_id: bytes | None, is_told: bool) -> None:
    """Nothing as old as what it saw; all that there is where it saw another topic, or says what makes no sense."""
    assert (event(HERE, parse_last_event_id(last_event_id)) is not None) == is_told


def test_whoever_comes_back_learns_of_a_deletion_that_it_missed() -> None:
    """Unless this reader has not even got as far as the client has."""
    ahead, behind = DictReadView({}, {3: 1044}), DictReadView({}, {3: 1042})
    assert event(ahead, parse_last_event_id(b"3:1042:0badcafe")) is not None
    assert event(behind, parse_last_event_id(b"3:1042:0badcafe")) is None
    assert event(DictReadView({}, {}), parse_last_event_id(b"3:1042:0badcafe")) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30), st.integers(0, 40))
def test_what_is_told_never_goes_back_and_ends_with_the_truth(steps: list[tuple[int, bool]], told_offset: int) -> None:
    """Whatever moments a client is told of, places ascend, and the last thing told is how things stand."""
    told = parse_last_event_id(b"3:%d" % told_offset)
    position, record, said = 0, None, list[Update]()
    for others, exists in [*steps, (50, True)]:
        position += others + 1
        record = StoredRecord(3, position - 1, 0, b"{}") if exists else None
        new = find_update(DictReadView({} if record is None else {b"alice": record}, {3: position}), b"alice", told)
        if new is not None:
            told = new.known
            said.append(new)
    offsets = [new.known.event_id.offset for new in said if new.known.event_id is not None]
    assert offsets == sorted(set(offsets))
    assert all(offset > told_offset for offset in offsets)
    assert said[-1].found == record


def test_streams_outlive_a_look_that_fails() -> None:
    """Whatever the store says, it is asked again, and the change that was missed is told."""
    views: list[DictReadView | None] = [HERE, None, DictReadView({b"alice": StoredRecord(3, 1043, 0, b"{}")})]

    def view() -> DictReadView:
        found = views.pop(0) if len(views) > 1 else views[0]
        if found is None:
            raise OSError("not now")
        return replace(found)

    async def told() -> list[bytes]:
        events = EventStreams(view, lambda: Readiness("ready", serves=True))
        stream = events.open_stream(b"alice", NOTHING_KNOWN)
        assert stream is not None
        pieces = events.read_stream(stream)
        said = [await anext(pieces) for _ in range(3)]
        events.close()
        assert [] == [piece async for piece in pieces]
        events.close_stream(stream)
        return said

    said = asyncio.run(asyncio.wait_for(told(), 30))
    assert [b"id: 3:1042", b"id: 3:1043"] == [piece.split(b":0badcafe")[0] for piece in said[1:]]
