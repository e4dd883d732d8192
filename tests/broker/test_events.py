"""Streams of events of a real reader on a real Kafka: what a listener receives, and when its stream ends."""

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from stack.servers.kafka import Kafka
from tests.support.event_streams import Event
from tests.support.http_client import get
from tests.support.readers import Reader
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

MOST = 3


def put(topics: Topics, user: str, likes: int) -> str:
    """Write a user's record, and return it."""
    record = json.dumps({"userId": user, "likeCount": likes})
    topics.write("user-info", user.encode(), record.encode())
    return record


@pytest.fixture
def topics(kafka: str) -> Topics:
    """Give an empty user-info topic of this test's own, with one partition."""
    made = Topics(kafka)
    made.create("user-info", partitions=1)
    return made


def reader_of(topics: Topics, folder: Path, **settings: str) -> Reader:
    """Return a reader that takes few streams, not started."""
    return Reader(topics.settings(), folder / "reader", READER_MAX_STREAMS=str(MOST), **settings)


@pytest.fixture
def reader(topics: Topics, tmp_path: Path) -> Iterator[Reader]:
    """Give a reader that is ready."""
    with reader_of(topics, tmp_path) as made:
        made.wait_until_ready()
        yield made


def test_a_listener_receives_the_record_and_every_change(reader: Reader, topics: Topics) -> None:
    """The record now, each newer one, the deletion, and the user's return: byte for byte, in ascending places."""
    first = put(topics, "alice", 1)
    wait_for(lambda: reader.get("/users/alice").status_code == 200)
    with reader.listen("alice") as listener:
        assert "text/event-stream" in listener.response.headers["content-type"]
        told = [listener.next()]
        second = put(topics, "alice", 2)
        told.append(listener.next())
        put(topics, "bob", 1)
        topics.write("user-info", b"alice", None)
        told.append(listener.next())
        third = put(topics, "alice", 3)
        told.append(listener.next())
    assert [("record", first), ("record", second), ("absent", told[2].data), ("record", third)] == [
        (event.kind, event.data) for event in told
    ]
    assert "urn:user-info:problem:unknown-user" == json.loads(told[2].data)["type"]
    assert [0, 1, 3, 4] == [int((event.place or "").split(":")[1]) for event in told]


def test_a_listener_to_an_unknown_user_learns_so_and_then_of_the_user(reader: Reader, topics: Topics) -> None:
    """A stream may begin before its user exists."""
    with reader.listen("carol") as listener:
        event = listener.next()
        assert ("absent", None) == (event.kind, event.place)
        record = put(topics, "carol", 1)
        assert ("record", record) == (listener.next().kind, record)


def test_a_client_that_comes_back_receives_only_what_is_newer(reader: Reader, topics: Topics) -> None:
    """Nothing where nothing has changed; else the newest record alone, however many there were."""
    put(topics, "alice", 1)
    with reader.listen("alice") as listener:
        seen = next(event for event in listener if event.kind == "record")
    with reader.listen("alice", seen.place) as listener:
        listener.await_comment()
        put(topics, "alice", 2)
        assert 2 == json.loads(listener.next().data)["likeCount"]
    put(topics, "alice", 3)
    last = put(topics, "alice", 4)
    wait_for(lambda: reader.get("/users/alice").text == last)
    with reader.listen("alice", seen.place) as listener:
        assert listener.next() == Event("record", last, "0:3:" + (seen.place or "")[4:])
    topics.write("user-info", b"alice", None)
    wait_for(lambda: reader.get("/users/alice").status_code == 404)
    with reader.listen("alice", seen.place) as listener:
        assert "absent" == listener.next().kind


def test_there_are_only_so_many_streams(reader: Reader) -> None:
    """One too many is answered 503 and when to try again; it gets its turn when a listener has gone."""
    path = f"{reader.url}/users/alice/events"
    listeners = [reader.listen("alice") for _ in range(MOST)]
    refused = get(path)
    assert (503, "1") == (refused.status_code, refused.headers["retry-after"])
    assert "urn:user-info:problem:too-many-streams" == refused.json()["type"]
    for listener in listeners:
        listener.__exit__(None, None, None)

    def is_let_in() -> bool:
        with reader.listen("alice") as listener:
            return listener.response.status_code == 200

    wait_for(is_let_in)


def test_a_request_without_a_stream_is_answered_at_once(reader: Reader) -> None:
    """An id that no user can have is 404; HEAD and HTTP/1.0 get an end."""
    base = f"{reader.url}/users"
    assert 404 == get(f"{base}/{'x' * 512}/events").status_code
    assert 405 == httpx.post(f"{base}/alice/events").status_code
    head = httpx.head(f"{base}/alice/events")
    assert (200, True) == (head.status_code, head.headers["content-type"].startswith("text/event-stream"))


def test_a_stopped_reader_ends_its_streams(reader: Reader) -> None:
    """A listener sees the end of its stream, and the reader ends within 5 s."""
    with reader.listen("alice") as listener:
        listener.next()
        reader.signal(signal.SIGTERM)
        assert [] == list(listener)
        assert 0 == reader.wait(5)


def test_workers_stream_changes_too(topics: Topics, tmp_path: Path) -> None:
    """With several workers each listener receives the same from any of them, and all end in order."""
    with reader_of(topics, tmp_path, READER_WORKERS="2") as reader, ExitStack() as listening:
        reader.wait_until_ready()
        listeners = [listening.enter_context(reader.listen("alice")) for _ in range(MOST)]
        assert ["absent"] * MOST == [listener.next().kind for listener in listeners]
        record = put(topics, "alice", 1)
        assert [record] * MOST == [listener.next().data for listener in listeners]
        reader.signal(signal.SIGTERM)
        assert [[]] * MOST == [list(listener) for listener in listeners]
        assert 0 == reader.wait(10)


def test_streams_wait_for_a_reader_that_is_not_ready_and_outlive_kafka(tmp_path: Path) -> None:
    """503 while the topic is not there, as for the user; while Kafka is away a stream stays open, silent but alive."""
    with Kafka(tmp_path / "kafka") as kafka:
        topics = Topics(kafka.bootstrap_servers)
        with reader_of(topics, tmp_path) as reader:
            wait_for(lambda: "does not exist yet" in reader.log())
            early = reader.get("/users/alice/events")
            assert (503, "1") == (early.status_code, early.headers["retry-after"])
            assert "urn:user-info:problem:not-ready" == early.json()["type"]
            topics.create("user-info", partitions=1)
            record = put(topics, "alice", 1)
            reader.wait_until_ready()
            kafka.stop()
            with reader.listen("alice") as listener:
                assert record == listener.next().data
                listener.await_comment()
                listener.await_comment()
