"""A fuzzer on raw sockets: sends what any client may send, and checks that the server answers well and survives."""

import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from bench.errors import MeasurementError
from bench.fuzz.requests import SOUND, Input, invent_input
from bench.fuzz.responses import Malformed, check_responses

SILENCE_SECONDS = 10.0
"""How long a server may be silent once a client has sent everything."""

STREAM_SECONDS = 0.3
"""How long to read where a stream was requested, which has no end while more requests wait behind it."""

RESET = struct.pack("ii", 1, 0)
LAST = SOUND.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@dataclass
class Tally:
    """What a run has seen.

    Args:
        connections: how many.
        statuses: status -> answers.
    """

    connections: int = 0
    statuses: Counter[int] = field(default_factory=Counter)


def fuzz(port: int, seed: int, seconds: float, is_alive: Callable[[], bool]) -> Tally:
    """Send invented requests to a server until the time is over.

    Args:
        port: on 127.0.0.1.
        seed: of the inventions; the same seed repeats them.
        seconds: how long.
        is_alive: whether the server's process still runs.

    Raises:
        MeasurementError: a response is not HTTP or may not be given, none comes, or a sound request right after gets
            another response than in the beginning; carries what was sent.
    """
    random, tally = Random(seed), Tally()
    expected = _without_varying_fields(_exchange(port, Input(LAST, (), resets=False)))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        case = invent_input(random)
        try:
            heads, endless = b"HEAD" in case.sent, b"/events" in case.sent
            received = _exchange(port, case, endless=endless)
            if not received and not case.resets and case.sent.strip(b"\r\n"):
                raise Malformed("the connection is closed without an answer")
            tally.statuses.update(check_responses(received, heads=heads, cut_off=case.resets or endless))
            if _without_varying_fields(_exchange(port, Input(LAST, (), resets=False))) != expected:
                raise Malformed("a sound request on another connection is answered otherwise")
        except (Malformed, OSError, ValueError) as trouble:
            raise MeasurementError(_describe(seed, tally, case, trouble)) from trouble
        if not is_alive():
            raise MeasurementError(_describe(seed, tally, case, "the process has ended"))
        tally.connections += 1
    return tally


def _describe(seed: int, tally: Tally, case: Input, trouble: object) -> str:
    return f"seed {seed}, connection {tally.connections}: {trouble!r}; sent in pieces {case.cuts}:\n{case.sent!r}"


def _without_varying_fields(answer: bytes) -> bytes:
    """Return a response without the fields that change by themselves."""
    return re.sub(rb"(date|user-info-behind-seconds): [^\r]*\r\n", b"", answer)


def _exchange(port: int, case: Input, *, endless: bool = False) -> bytes:
    """Return all that comes back until the server closes, or for a while where it may not."""
    leave_at = time.monotonic() + (STREAM_SECONDS if endless else float("inf"))
    with socket.create_connection(("127.0.0.1", port), timeout=SILENCE_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for first, last in zip((0, *case.cuts), (*case.cuts, len(case.sent)), strict=True):
                connection.sendall(case.sent[first:last])
            if case.resets:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return b""
            connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server has refused; its response is read below
        return _read_all(connection, leave_at)


def _read_all(connection: socket.socket, leave_at: float) -> bytes:
    received = b""
    try:
        while time.monotonic() < leave_at:
            connection.settimeout(min(SILENCE_SECONDS, max(0.01, leave_at - time.monotonic())))
            piece = connection.recv(1 << 16)
            if not piece:
                break
            received += piece
    except ConnectionResetError:
        pass
    except TimeoutError:
        if time.monotonic() < leave_at:
            raise
    return received
