"""Event streams on raw sockets: framing, and clients that do not read."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from reader.http import events_route
from reader.http.events import EventStreams
from reader.http.server_state import Limits
from reader.storage.read_view import StoredRecord
from tests.support.event_streams import Listener
from tests.support.http import LATEST, LocalServer, exchange
from tests.support.read_views import DictReadView
from tests.support.waiting import wait_for

BIG = b"x" * 200_000


@contextmanager
def serving(records: dict[bytes, StoredRecord], limits: Limits, max_streams: int = 1) -> Iterator[LocalServer]:
    """Give a server with event streams over the given records, which may change."""
    events = EventStreams(lambda: DictReadView(records), lambda: LATEST, max_streams=max_streams)
    with LocalServer(records, limits=limits, routes=events_route.build_routes(events)) as started:
        yield started


def test_a_client_of_http_1_0_gets_a_response_with_an_end() -> None:
    """HTTP/1.0 knows no chunks: the response holds the current state, and when to reconnect."""
    with serving({b"alice": StoredRecord(0, 7, 0, b"{}")}, Limits()) as started:
        head, _, body = exchange(started.port, b"GET /users/alice/events HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head
    assert b"retry: 1000\n\nid: 0:7:0badcafe\nevent: record\ndata: {}\n\n" == body


def test_head_is_answered_without_opening_a_stream() -> None:
    """With the header fields of GET but for the framing of a body, which there is none of."""
    with serving({b"alice": StoredRecord(0, 7, 0, b"{}")}, Limits(), max_streams=1) as started:
        fields = []
        for method in (b"HEAD", b"GET"):
            request = b"%b /users/alice/events HTTP/1.1\r\nHost: here\r\n\r\n" % method
            head, _, body = exchange(started.port, request, end=True).partition(b"\r\n\r\n")
            lines = {line for line in head.split(b"\r\n") if not line.startswith((b"date:", b"transfer-encoding:"))}
            fields.append((lines, bool(body)))
    head_only, got = fields
    assert (True, False) == (got[1], head_only[1])
    assert got[0] == head_only[0]


def test_head_is_refused_where_get_is() -> None:
    """Where no further stream may be opened, a HEAD gets the 503 too, without its body; HTTP/1.0 opens none."""
    with serving({b"alice": StoredRecord(0, 7, 0, b"{}")}, Limits(), max_streams=0) as started:
        for version, status in ((b"1.1", b"503"), (b"1.0", b"200")):
            request = b" /users/alice/events HTTP/%b\r\nHost: here\r\nConnection: close\r\n\r\n" % version
            got, head_only = (exchange(started.port, method + request) for method in (b"GET", b"HEAD"))
            (got_head, _, body), (head, _, no_body) = got.partition(b"\r\n\r\n"), head_only.partition(b"\r\n\r\n")
            assert (status, True, b"") == (head.split()[1], bool(body), no_body)
            assert [line for line in got_head.split(b"\r\n") if not line.startswith(b"date:")] == [
                line for line in head.split(b"\r\n") if not line.startswith(b"date:")
            ]


def test_a_client_that_closes_its_direction_loses_its_stream() -> None:
    """A closed tab looks like this; its stream must not keep another client out."""
    request = b"GET /users/alice/events HTTP/1.1\r\nHost: here\r\n\r\n"
    with serving({b"alice": StoredRecord(0, 7, 0, b"{}")}, Limits(), max_streams=2) as started:
        for before in (b"", b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n"):
            assert b"event: record" in exchange(started.port, before + request, end=True)


def test_a_client_that_does_not_read_is_cut_off() -> None:
    """However often the record changes, little is buffered for it; after a while its stream is free again."""
    records = {b"alice": StoredRecord(0, 0, 0, BIG)}
    held_back = [0]
    with serving(records, Limits(stalled_seconds=1.0)) as started, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", started.port))
        connection.sendall(b"GET /users/alice/events HTTP/1.1\r\nHost: here\r\n\r\n")
        open_connections = started.server.server_state.connections
        wait_for(lambda: open_connections)

        def is_cut_off() -> bool:
            records[b"alice"] = StoredRecord(0, records[b"alice"].offset + 1, 0, BIG)
            held_back.extend(each.transport.get_write_buffer_size() for each in list(open_connections))
            return not open_connections

        wait_for(is_cut_off, 60)
        with Listener(started.port, "/users/alice/events") as another:
            assert 200 == another.response.status_code
            assert BIG.decode() == another.next().data
    assert 0 < max(held_back) < 2 * len(BIG)
