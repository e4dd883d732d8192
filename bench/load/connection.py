"""One HTTP/1.1 connection of a load: kept alive, at most one request on its way, never blocking.

Parses as much of HTTP as a load needs: a status, a length, a body. Anything else is an error, never a guess.
"""

import re
import socket
from typing import NamedTuple

from bench.errors import MeasurementError
from bench.load.keys import FIRST_UNKNOWN

RECEIVE_BYTES = 256 * 1024
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Response(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class Connection:
    """One connection.

    Args:
        port: of 127.0.0.1.
    """

    __slots__ = ("_received", "_socket", "asked_for")

    def __init__(self, port: int) -> None:
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        except OSError as error:
            raise MeasurementError(f"nothing answers on port {port} of 127.0.0.1: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._received = b""
        self.asked_for = 0
        """The load's own number of the request that is on its way."""

    def fileno(self) -> int:
        """Return what the system waits for."""
        return self._socket.fileno()

    def send(self, request: bytes, number: int) -> None:
        """Send a whole request, which fits into the system's buffers since nothing else is in them."""
        self.asked_for = number
        if self._socket.send(request) != len(request):
            raise MeasurementError(f"a request of {len(request)} bytes did not fit", hint="ask for shorter ids")

    def receive(self) -> Response | None:
        """Return the answer once all of it is there.

        Raises:
            MeasurementError: the connection is closed, or what comes is no answer.
        """
        try:
            chunk = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise MeasurementError(f"the connection broke: {error}") from error
        if not chunk:
            raise MeasurementError("the connection was closed before the answer was whole")
        self._received += chunk
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return None
        length = LENGTH.search(self._received, 0, head_end + 2)
        if length is None:
            raise MeasurementError(f"an answer without a length: {self._received[:head_end]!r}")
        whole = head_end + 4 + int(length[1])
        if len(self._received) < whole:
            return None
        answer = Response(int(self._received[9:12]), self._received[head_end + 4 : whole])
        self._received = self._received[whole:]
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def build_request(user_id: int) -> bytes:
    """Return a request for a user, with the headers that every client sends."""
    return f"GET /users/{user_id} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n".encode()


def is_correct(answer: Response, user_id: int) -> bool:
    """Say whether a response is one that the service may give: the right user, or 404 for an unknown id."""
    if user_id >= FIRST_UNKNOWN:
        return answer.status == 404
    return answer.status == 200 and answer.body.startswith(b'{"userId":"%d",' % user_id)
