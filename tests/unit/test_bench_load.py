"""The load generator is honest: it sends on time however slow the server is, misreads nothing, and names stalls."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bench.errors import MeasurementError
from bench.load.connection import Connection, Response, is_correct
from bench.load.keys import FIRST_UNKNOWN, draw_ids
from bench.load.open_loop import Loop, OpenLoad
from bench.load.statistics import Durations, summarize_durations
from bench.load.threads import Sample, compute_difference
from bench.reader.stalls import explain_stalls
from tests.support.waiting import wait_for

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"userId":"7",}'


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Give the port of a server in a thread that runs a given function on its listening socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def test_requests_leave_although_none_is_answered() -> None:
    """A server that answers nothing before it has all requests gets them all: nothing waits for an answer."""

    def answer_at_the_end(listener: socket.socket) -> None:
        connections = [listener.accept()[0] for _ in range(20)]
        for connection in connections:
            assert connection.recv(4096).startswith(b"GET /users/")
        for connection in connections:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            connection.close()

    with server(answer_at_the_end) as port:
        loop = Loop(OpenLoad(port, rate=1000, seconds=0.02, users=10, checked=False))
        loop.run()
    report = loop.report()
    assert (20, 20, 0) == (report["sent"], report["answered"], report["failed"])


def test_a_broken_connection_is_a_failed_request() -> None:
    """A request whose connection closes is counted as failed, and the next one gets a new connection."""

    def hang_up_once(listener: socket.socket) -> None:
        first, _ = listener.accept()
        first.recv(4096)
        first.close()
        second, _ = listener.accept()
        second.recv(4096)
        second.sendall(OK)
        second.close()

    with server(hang_up_once) as port:
        loop = Loop(OpenLoad(port, rate=10, seconds=0.2, users=10, checked=False))
        loop.run()
    assert (2, 1, 1) == (loop.sent, loop.report()["answered"], loop.failed)


def test_an_answer_may_come_in_pieces() -> None:
    """A response counts only once its whole length is there."""
    pieces, received = threading.Semaphore(0), [OK[:20], OK[20:45], OK[45:]]

    def piecemeal(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            for piece in received:
                pieces.acquire()
                connection.sendall(piece)

    with server(piecemeal) as port:
        connection = Connection(port)
        for _ in received[:-1]:
            pieces.release()
            assert connection.receive() is None
        pieces.release()
        assert Response(200, b'{"userId":"7",}') == wait_for(connection.receive)
        with pytest.raises(MeasurementError, match="closed before the answer was whole"):
            wait_for(connection.receive)
        connection.close()


def test_an_answer_without_a_length_is_an_error() -> None:
    """What the load does not understand it does not guess at."""

    def endless(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    with server(endless) as port:
        connection = Connection(port)
        with pytest.raises(MeasurementError, match="without a length"):
            wait_for(connection.receive)
        connection.close()


@pytest.mark.parametrize(
    ("answer", "user_id", "right"),
    [
        (Response(200, b'{"userId":"7","username":null}'), 7, True),
        (Response(200, b'{"userId":"8","username":null}'), 7, False),
        (Response(404, b"{}"), 7, False),
        (Response(404, b"{}"), FIRST_UNKNOWN, True),
        (Response(200, b'{"userId":"1000000000",}'), FIRST_UNKNOWN, False),
    ],
)
def test_a_response_is_checked_against_its_request(answer: Response, user_id: int, right: bool) -> None:
    """Another user's record, a missing user and an invented one are wrong."""
    assert right == is_correct(answer, user_id)


def test_few_users_are_asked_for_often_and_some_do_not_exist() -> None:
    """One in a hundred is unknown, and the most popular user comes about twice as often as the second."""
    drawn = draw_ids(1000, 50_000, seed=3)
    unknown = sum(user_id >= FIRST_UNKNOWN for user_id in drawn)
    known = [user_id for user_id in drawn if user_id < FIRST_UNKNOWN]
    first, second = sorted((known.count(user_id) for user_id in set(known)), reverse=True)[:2]
    assert 400 < unknown < 600
    assert 1.7 < first / second < 2.3
    assert 1 <= min(known) < max(known) <= 1000
    assert drawn == draw_ids(1000, 50_000, seed=3)


def test_percentiles_are_durations_that_occurred() -> None:
    """Of a thousand durations the 999th is the 99.9th percentile; of none, all are zero."""
    assert Durations(500, 950, 990, 999, 1000) == summarize_durations([float(ms) for ms in range(1000, 0, -1)])
    assert Durations(0, 0, 0, 0, 0) == summarize_durations([])


def test_slow_answers_of_one_stall_are_explained_together() -> None:
    """Overlapping slow answers are one stall, attributed to the part that did not run at that moment."""
    outliers = [
        {"due": 10.000, "latencyMs": 20.0, "lateMs": 0.1},
        {"due": 10.005, "latencyMs": 15.0, "lateMs": 0.1},
        {"due": 11.000, "latencyMs": 12.0, "lateMs": 11.0},
        {"due": 12.000, "latencyMs": 30.0, "lateMs": 0.1},
        {"due": 14.000, "latencyMs": 20.0, "lateMs": 0.1},
    ]
    samples = [
        Sample(9.0, 1.0, 0.5, 0.0),
        Sample(11.5, 1.5, 0.5, 0.2),
        Sample(13.0, 1.525, 0.504, 0.201),
        Sample(15, 1.53, 0.524, 0.206),
    ]
    found = explain_stalls(outliers, reader_gaps=[[10.001, 0.018]], load_gaps=[[11.0, 0.011]], samples=samples)
    assert [(2, 20.0, "machine"), (1, 12.0, "load"), (1, 30.0, "reader"), (1, 20.0, "another program")] == [
        (stall.requests, stall.worst, stall.cause) for stall in found
    ]
    assert [18.0, 0.0, 0.0, 0.0] == [round(stall.machine, 3) for stall in found]
    assert (25.0, 4.0, 1.0) == tuple(round(value or 0, 3) for value in (found[2].ran, found[2].waited, found[2].others))


def test_a_moment_outside_the_samples_is_not_explained() -> None:
    """Where nothing was sampled on one side, nothing is said."""
    assert compute_difference([Sample(9.0, 1, 1, 1)], 9.5, 9.6) is None
