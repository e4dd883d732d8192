"""Streams of events of a real reader on a real Kafka: what a listener is told, and when it is let go."""

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from stack.servers.kafka import Kafka
from stack.servers.ports import free_port
from tests.support.asking import get
from tests.support.programs import Program
from tests.support.streams import Event, Listener
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

MOST = 3


@dataclass(frozen=True)
class Reader:
    """A reader that runs, and what it reads."""

    program: Program
    port: int
    topics: Topics

    def put(self, user: str, likes: int) -> str:
        """Have a user's record be read, and return it."""
        record = json.dumps({"userId": user, "likeCount": likes})
        self.topics.send("user-info", user.encode(), record.encode())
        self.topics.flush()
        return record

    def delete(self, user: str) -> None:
        """Have a user's deletion be read."""
        self.topics.send("user-info", user.encode(), None)
        self.topics.flush()

    def listen(self, user: str, last: str | None = None) -> Listener:
        """Listen to a user."""
        return Listener(self.port, f"/users/{user}/events", last)


def settings_of(topics: Topics, port: int, folder: Path) -> dict[str, str]:
    """Return the settings of a reader."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": topics.bootstrap_servers,
        "USER_INFO_TOPIC": topics.name("user-info"),
        "READER_PORT": str(port),
        "READER_STATE_DIR": str(folder / "state"),
        "READER_MAX_STREAMS": str(MOST),
    }


@pytest.fixture
def reader(kafka: str, tmp_path: Path) -> Iterator[Reader]:
    """Give a reader that is ready, of an empty topic with one partition."""
    topics, port = Topics(kafka), free_port()
    topics.create("user-info", partitions=1)
    with Program("reader", settings_of(topics, port, tmp_path), tmp_path / "log") as program:
        program.wait_until_ready(port)
        yield Reader(program, port, topics)


def test_a_listener_is_told_the_record_and_every_change(reader: Reader) -> None:
    """The record now, each newer one, the deletion, and the user's return: byte for byte, in ascending places."""
    first = reader.put("alice", 1)
    wait_for(lambda: get(f"http://127.0.0.1:{reader.port}/users/alice").status_code == 200)
    with reader.listen("alice") as listener:
        assert "text/event-stream" in listener.response.headers["content-type"]
        told = [listener.next()]
        second = reader.put("alice", 2)
        told.append(listener.next())
        reader.put("bob", 1)
        reader.delete("alice")
        told.append(listener.next())
        third = reader.put("alice", 3)
        told.append(listener.next())
    assert [("record", first), ("record", second), ("absent", told[2].data), ("record", third)] == [
        (event.kind, event.data) for event in told
    ]
    assert "urn:user-info:problem:unknown-user" == json.loads(told[2].data)["type"]
    assert [0, 1, 3, 4] == [int((event.place or "").split(":")[1]) for event in told]


def test_whoever_listens_to_nobody_is_told_so_and_then_of_the_user(reader: Reader) -> None:
    """A stream may begin before its user exists."""
    with reader.listen("carol") as listener:
        event = listener.next()
        assert ("absent", None) == (event.kind, event.place)
        record = reader.put("carol", 1)
        assert ("record", record) == (listener.next().kind, record)


def test_whoever_comes_back_is_told_only_what_is_newer(reader: Reader) -> None:
    """Nothing where nothing has changed; else the newest record alone, however many there were."""
    reader.put("alice", 1)
    with reader.listen("alice") as listener:
        seen = next(event for event in listener if event.kind == "record")
    with reader.listen("alice", seen.place) as listener:
        listener.await_comment()
        reader.put("alice", 2)
        assert json.loads(listener.next().data)["likeCount"] == 2
    reader.put("alice", 3)
    last = reader.put("alice", 4)
    wait_for(lambda: get(f"http://127.0.0.1:{reader.port}/users/alice").text == last)
    with reader.listen("alice", seen.place) as listener:
        assert listener.next() == Event("record", last, "0:3:" + (seen.place or "")[4:])
    reader.delete("alice")
    wait_for(lambda: get(f"http://127.0.0.1:{reader.port}/users/alice").status_code == 404)
    with reader.listen("alice", seen.place) as listener:
        assert "absent" == listener.next().kind


def test_there_are_only_so_many_streams(reader: Reader) -> None:
    """One too many is answered 503 and when to try again; it gets its turn when a listener has gone."""
    path = f"http://127.0.0.1:{reader.port}/users/alice/events"
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


def test_what_no_stream_can_be_of_is_answered_at_once(reader: Reader) -> None:
    """An id that no user can have is 404; HEAD and HTTP/1.0 get an end."""
    base = f"http://127.0.0.1:{reader.port}/users"
    assert get(f"{base}/{'x' * 512}/events").status_code == 404
    assert httpx.post(f"{base}/alice/events").status_code == 405
    head = httpx.head(f"{base}/alice/events")
    assert (200, True) == (head.status_code, head.headers["content-type"].startswith("text/event-stream"))


def test_a_reader_that_is_told_to_stop_ends_its_streams(reader: Reader) -> None:
    """A listener sees the end of its stream, and the reader ends within 5 s."""
    with reader.listen("alice") as listener:
        listener.next()
        reader.program.signal(signal.SIGTERM)
        assert [] == list(listener)
        assert 0 == reader.program.wait(5)


def test_processes_that_follow_no_topic_tell_of_changes_too(kafka: str, tmp_path: Path) -> None:
    """With several processes each listener is told the same, whichever of them it has met, and all end in order."""
    topics, port = Topics(kafka), free_port()
    topics.create("user-info", partitions=1)
    settings = {**settings_of(topics, port, tmp_path), "READER_WORKERS": "2"}
    with Program("reader", settings, tmp_path / "log") as program, ExitStack() as listening:
        program.wait_until_ready(port)
        reader = Reader(program, port, topics)
        listeners = [listening.enter_context(reader.listen("alice")) for _ in range(MOST)]
        assert ["absent"] * MOST == [listener.next().kind for listener in listeners]
        record = reader.put("alice", 1)
        assert [record] * MOST == [listener.next().data for listener in listeners]
        program.signal(signal.SIGTERM)
        assert [[]] * MOST == [list(listener) for listener in listeners]
        assert 0 == program.wait(10)


def test_streams_wait_for_a_reader_that_is_not_ready_and_outlive_kafka(tmp_path: Path) -> None:
    """503 while the topic is not there, as for the user; while Kafka is away a stream goes on, silent but alive."""
    with Kafka(tmp_path / "kafka") as kafka:
        topics, port = Topics(kafka.bootstrap_servers), free_port()
        with Program("reader", settings_of(topics, port, tmp_path), tmp_path / "log") as program:
            reader = Reader(program, port, topics)
            wait_for(lambda: "does not exist yet" in program.log())
            early = get(f"http://127.0.0.1:{port}/users/alice/events")
            assert (503, "1") == (early.status_code, early.headers["retry-after"])
            assert "urn:user-info:problem:not-ready" == early.json()["type"]
            topics.create("user-info", partitions=1)
            record = reader.put("alice", 1)
            program.wait_until_ready(port)
            kafka.stop()
            with reader.listen("alice") as listener:
                assert record == listener.next().data
                listener.await_comment()
                listener.await_comment()
