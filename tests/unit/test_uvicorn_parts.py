"""uvicorn's private parts that the reader overrides, calls or reads: they are as they were when the reader was written.

A difference is no fault of uvicorn's. It says that the upgrade is a decision: read what changed, check what the message
names, run tests/properties/test_fast_path.py, and only then write the new fingerprint here.
"""

import hashlib
import inspect
import re
from collections.abc import Callable
from importlib.metadata import requires, version
from typing import Any, NamedTuple

import pytest
import uvicorn
from uvicorn.protocols.http import flow_control, httptools_impl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from reader.http.connection import Connection
from reader.http.fast_path import FastPathConnection
from reader.http.server import Server
from reader.http.server_state import ReaderServerState


class Part(NamedTuple):
    """A borrowed piece of code.

    Args:
        code: the function or the class.
        fingerprint: the beginning of the SHA-256 of its source.
        check: what to check before a new fingerprint is accepted.
    """

    code: Callable[..., Any]
    fingerprint: str
    check: str


PARTS = (
    Part(
        HttpToolsProtocol.__init__,
        "4f0899941034",
        "Connection.__init__ passes its arguments on; no new attribute may share a name with one of ours",
    ),
    Part(
        HttpToolsProtocol.connection_made, "6efb565ff3d3", "`connections` holds this connection before ours counts them"
    ),
    Part(
        HttpToolsProtocol.connection_lost,
        "c91a4c9bf2e2",
        "only the last cycle is disconnected here, so Connection.connection_lost disconnects the others",
    ),
    Part(HttpToolsProtocol.eof_received, "5652627579a0", "does nothing; Connection.eof_received replaces it"),
    Part(
        HttpToolsProtocol.data_received,
        "010a7ae59a5d",
        "Connection.data_received replaces it: which exceptions the parser raises, and what else happens here",
    ),
    Part(
        HttpToolsProtocol.on_message_begin,
        "96d377fdc7c2",
        "Connection._handle_request calls it late, and restores `url`, `headers` and `expect_100_continue` after it",
    ),
    Part(HttpToolsProtocol.on_url, "37be44e962b0", "Connection.on_url replaces it, with a limit"),
    Part(
        HttpToolsProtocol.on_header,
        "65d62c044f61",
        "FastPathConnection.on_header replaces it: names in lower case, and expect",
    ),
    Part(
        HttpToolsProtocol.on_headers_complete,
        "1ea8589acfad",
        "FastPathConnection decides keep-alive as it does; the cycle gets its transport before it runs; which errors a"
        " target raises",
    ),
    Part(
        HttpToolsProtocol.on_body,
        "dba9c32aeba3",
        "a body of a plain request never gets here: the fast path takes no body",
    ),
    Part(HttpToolsProtocol.on_message_complete, "1fbad42dc31f", "called for each request that takes the ordinary path"),
    Part(
        HttpToolsProtocol.on_response_complete,
        "64e254f28e38",
        "Connection.on_response_complete replaces it: counting, reading on, the pipeline, no keep-alive timer",
    ),
    Part(HttpToolsProtocol._start_asgi_task, "9c08c2571ae9", "Connection notes the cycle, then calls it"),  # noqa: SLF001
    Part(
        HttpToolsProtocol.shutdown,
        "d7351fa33f00",
        "at shutdown idle connections are closed, others after their response",
    ),
    Part(
        RequestResponseCycle.__init__,
        "4d2f220910c3",
        "Connection reads or sets `transport`, `scope`, `keep_alive`, `disconnected` and `response_complete`",
    ),
    Part(RequestResponseCycle.run_asgi, "0f33f2449a44", "what closes a connection after an application's error"),
    Part(RequestResponseCycle.send_500_response, "37c64da40eed", "sent only where the application sent nothing"),
    Part(
        RequestResponseCycle.send,
        "abdd8601b326",
        "calls `write`, `is_closing` and `close` of TransportWithOwnClose, and frames responses as the fast path does",
    ),
    Part(RequestResponseCycle.receive, "8124ae006be7", "calls `write` and `is_closing` of TransportWithOwnClose"),
    Part(
        ServerState,
        "f2260fbf1015",
        "ReaderServerState extends it and reads `connections`, `default_headers`, `total_requests`",
    ),
    Part(
        httptools_impl._get_status_line,  # noqa: SLF001
        "d7012e110d2d",
        "STATUS_LINE is made with it, and ReaderServerState.response_start begins responses with it",
    ),
    Part(
        flow_control.FlowControl,
        "126debcdaa89",
        "the fast path reads `write_paused`; Connection calls `resume_reading`",
    ),
    Part(uvicorn.Server.__init__, "c150b55284f7", "Server replaces `server_state` after it"),
    Part(
        uvicorn.Server.startup,
        "2aa1d70a244b",
        "makes connections with `config`, `server_state`, `app_state` and `_loop`",
    ),
    Part(
        uvicorn.Server.main_loop,
        "afccb353a119",
        "Server.main_loop runs the sweep next to it; ends when `should_exit` is set",
    ),
    Part(
        uvicorn.Server.on_tick,
        "60ea49b06ccf",
        "replaces the list `default_headers` rather than changing it, which tells response_start to begin again",
    ),
    Part(
        uvicorn.Server.shutdown,
        "9b33c5056299",
        "calls `shutdown` of each connection, and waits for `connections` and `tasks`",
    ),
    Part(
        uvicorn.Server.capture_signals,
        "e1bbcd4770d1",
        "Server.capture_signals replaces it: signals belong to the event loop",
    ),
)


def fingerprint(code: Callable[..., Any]) -> str:
    """Return what distinguishes one version of a piece of code from another."""
    return hashlib.sha256(inspect.getsource(code).encode()).hexdigest()[:12]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.code.__qualname__)
def test_a_borrowed_part_of_uvicorn_is_as_it_was(part: Part) -> None:
    """The reader's connections rely on details that uvicorn does not promise."""
    found = fingerprint(part.code)
    assert part.fingerprint == found, (
        f"uvicorn {version('uvicorn')} changed {part.code.__qualname__}; check this, then note {found}: {part.check}"
    )


OVERRIDING = (
    (Connection, HttpToolsProtocol),
    (FastPathConnection, HttpToolsProtocol),
    (Server, uvicorn.Server),
    (ReaderServerState, ServerState),
)
"""Classes of the reader, each with the class of uvicorn that it extends."""


@pytest.mark.parametrize(("ours", "theirs"), OVERRIDING[:3])
def test_every_method_that_the_reader_overrides_has_a_fingerprint(ours: type, theirs: type) -> None:
    """One that was overridden later, or forgotten, would change at an upgrade without a word."""
    known = {part.code for part in PARTS}
    overridden = {name for cls in ours.__mro__[: ours.__mro__.index(theirs)] for name in vars(cls)} & set(vars(theirs))
    borrowed = {getattr(theirs, name) for name in overridden if inspect.isfunction(getattr(theirs, name))}
    assert borrowed
    assert set() == borrowed - known


def test_no_private_name_of_the_reader_hides_one_of_uvicorn() -> None:
    """What the reader's classes add is theirs alone."""
    for ours, theirs in OVERRIDING:
        added = private_names(ours) - {"_start_asgi_task"}
        assert added
        assert set() == added & private_names(theirs)


def private_names(cls: type) -> set[str]:
    """Return the private attributes and methods that a class's source names."""
    return set(re.findall(r"(?:self\.|def )(_[a-z]\w+)", inspect.getsource(cls)))


def test_the_version_of_uvicorn_is_pinned() -> None:
    """The requirement is exact, since an upgrade is a decision."""
    assert f"uvicorn=={version('uvicorn')}" in str(requires("user-information-service"))
