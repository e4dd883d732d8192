"""Listening in both families of addresses, on real sockets; and the health server of the joiner on them."""

import http.client
import json
import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from joiner.health import Health
from joiner.metrics import Metrics
from shared import listening
from shared.errors import AlreadyRunning, SettingError
from shared.health import serve_health
from shared.listening import Endpoint, format_url, format_urls, listen, listen_per_worker
from stack.servers.ports import free_port
from tests.support.http import exchange
from tests.support.programs import ROOT, environment
from tests.support.waiting import wait_for

V4, V6 = "127.0.0.1", "::1"


def at(host: str, port: int = 0) -> Endpoint:
    """Return where a reader would listen."""
    return Endpoint(host, port, "READER")


@contextmanager
def closed_afterwards(listeners: Sequence[socket.socket]) -> Iterator[int]:
    """Give the port of sockets that are closed afterwards."""
    try:
        yield listeners[0].getsockname()[1]
    finally:
        for listener in listeners:
            listener.close()


def answering(port: int) -> set[str]:
    """Return the loopback addresses at which somebody listens on a port."""
    found = set()
    for address in (V4, V6):
        try:
            socket.create_connection((address, port), timeout=5).close()
        except ConnectionRefusedError:
            continue
        found.add(address)
    return found


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give what makes the name `here` have these addresses, whatever /etc/hosts of this machine says."""
    actual = socket.getaddrinfo

    def set_addresses(*addresses: str) -> None:
        def look_up(host: str, port: int, *more: int, **options: int) -> list[object]:
            hosts = addresses if host == "here" else [host]
            return [found for each in hosts for found in actual(each, port, *more, **options)]

        monkeypatch.setattr("shared.listening.socket.getaddrinfo", look_up)

    return set_addresses


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        (V4, {V4}),
        (V6, {V6}),
        ("[::1]", {V6}),
        ("0.0.0.0", {V4}),  # noqa: S104 - what is tried
        ("::", {V4, V6}),
        ("::ffff:127.0.0.1", {V4}),
    ],
)
def test_each_address_answers_in_its_family(host: str, addresses: set[str]) -> None:
    """`::` is all addresses, those of IPv4 included; the same for several processes on one port."""
    with closed_afterwards(listen(at(host))) as port:
        assert addresses == answering(port)
    several = listen_per_worker(at(host), 3)
    with closed_afterwards([listener for each in several for listener in each]) as port:
        assert 3 == len(several)
        assert addresses == answering(port)


def test_a_name_answers_at_all_of_its_addresses(resolve: Callable[..., None]) -> None:
    """Both families, on one port, drawn or given; an address that is listed twice is one."""
    resolve(V6, V4, V6)
    with closed_afterwards(listen(at("here"))) as port:
        assert {V4, V6} == answering(port)
    with closed_afterwards(listen(at("here", port))):
        assert {V4, V6} == answering(port)
    several = listen_per_worker(at("here"), 2)
    with closed_afterwards([listener for each in several for listener in each]) as port:
        assert [2, 2] == [len(each) for each in several]
        assert {V4, V6} == answering(port)


def test_a_name_may_have_an_address_that_this_machine_lacks(resolve: Callable[..., None]) -> None:
    """As where /etc/hosts names ::1 and the system has no IPv6; without any other address it is an error."""
    resolve("2001:db8::1", V4)
    with closed_afterwards(listen(at("here"))) as port:
        assert {V4} == answering(port)
    resolve("2001:db8::1", "192.0.2.1")
    with pytest.raises(SettingError, match="READER_HOST=here: Cannot assign requested address; set an address"):
        listen(at("here"))


def test_a_free_port_is_free_at_every_address(resolve: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is taken at the second address is drawn again."""
    resolve(V4, V6)
    actual, draws = socket.create_server, list[int]()

    def create_server(address: tuple[str, int], **options: object) -> socket.socket:
        if address[0] == V6:
            draws.append(address[1])
            if len(draws) < 3:
                raise OSError(98, "Address already in use")
        return actual(address, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("shared.listening.socket.create_server", create_server)
    with closed_afterwards(listen(at("here"))) as port:
        assert (3, port) == (len(draws), draws[-1])
    monkeypatch.setattr(listening, "DRAWS", 2)
    draws.clear()
    with pytest.raises(AlreadyRunning, match="READER_PORT=0 of READER_HOST=here"):
        listen(at("here"))


@pytest.mark.parametrize(("taken", "host"), [(V6, V6), (V6, "::"), (V4, "::"), (V4, V4), ("::", V4)])
def test_a_port_in_use_names_both_settings(taken: str, host: str) -> None:
    """In either family, and by one that has all addresses; for several processes too, though they share it."""
    with closed_afterwards(listen(at(taken))) as port:
        said = rf"cannot listen on READER_PORT={port} of READER_HOST={host}: Address already in use; stop the process"
        with pytest.raises(AlreadyRunning, match=said):
            listen(at(host, port))
        with pytest.raises(AlreadyRunning, match=said):
            listen_per_worker(at(host, port), 2)


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1", "2001:db8::1", "::1::", "a" * 70, "10.0.0.0/8"])
def test_a_host_that_is_not_this_machine_names_the_setting(host: str) -> None:
    """A name that does not resolve, an address of another machine, or no address: what to set instead."""
    with pytest.raises(SettingError) as refused:
        listen(Endpoint(host, 0, "JOINER_HTTP"))
    assert refused.value.what.startswith(f"JOINER_HTTP_HOST={host}: ")
    assert "(while" not in refused.value.what
    assert "::1" in refused.value.hint


def test_an_address_of_one_link_asks_for_its_interface(resolve: Callable[..., None]) -> None:
    """Such an address may be there on several; a name's other addresses are listened at."""
    with pytest.raises(SettingError) as refused:
        listen(at("fe80::1"))
    assert "READER_HOST=fe80::1: an address of one link, without its interface" == refused.value.what
    assert "add the interface, such as fe80::1%eth0" == refused.value.hint
    resolve("fe80::1", V4)
    with closed_afterwards(listen(at("here"))) as port:
        assert {V4} == answering(port)


def test_a_port_that_is_taken_in_between_names_both_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several processes share the port that was free a moment before."""
    actual = socket.create_server

    def create_server(address: tuple[str, int], **options: object) -> socket.socket:
        if options["reuse_port"]:
            raise OSError(98, "Address already in use")
        return actual(address, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("shared.listening.socket.create_server", create_server)
    with pytest.raises(AlreadyRunning, match=f"READER_PORT=0 of READER_HOST={V4}: Address already in use"):
        listen_per_worker(at(V4), 2)


def test_a_port_that_needs_rights_is_no_taken_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint is not to stop some process."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("shared.listening.socket.create_server", refuse)
    with pytest.raises(SettingError, match="READER_PORT=80 of READER_HOST=::1: Permission denied; set a port above"):
        listen(at(V6, 80))


def test_an_ipv6_address_stands_in_brackets(resolve: Callable[..., None]) -> None:
    """So that the URL in the log can be opened."""
    resolve(V4, V6)
    listeners = listen(at("here"))
    with closed_afterwards(listeners) as port:
        assert f"http://[::1]:{port}/x" == format_url(listeners[1], "/x")
        assert f"http://127.0.0.1:{port}/x and http://[::1]:{port}/x" == format_urls(listeners, "/x")


def ask(address: str, port: int, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    """Return status, header fields but the date, and body of a response."""
    with closing(http.client.HTTPConnection(address, port, timeout=30)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, {name: value for name, value in answer.getheaders() if name != "Date"}, answer.read()


@pytest.mark.parametrize(("host", "addresses"), [(V4, [V4]), (V6, [V6]), ("::", [V4, V6]), ("here", [V6, V4])])
def test_the_joiner_answers_get_and_head_in_both_families(
    host: str, addresses: list[str], resolve: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """HEAD has the status and the header fields of GET, and no body."""
    if host == "here":
        resolve(V6, V4)
    caplog.set_level(logging.INFO)
    port, *_ = serve_health(Health().respond, Metrics().text, Endpoint(host, 0, "JOINER_HTTP"))
    for address in addresses:
        for path, status in (("/livez", 200), ("/readyz?x", 503), ("/metrics", 200), ("/nothing", 404)):
            got, head = ask(address, port, "GET", path), ask(address, port, "HEAD", path)
            assert (status, str(len(got[2]))) == (got[0], got[1]["Content-Length"])
            assert (status, b"") == (head[0], head[2])
            if path != "/metrics":  # its length is that of the moment
                assert got[1] == head[1]
                assert json.loads(got[2])
    shown = {"127.0.0.1": "127.0.0.1", "::1": "[::1]", "::": "[::]", "here": "[::1]"}[host]
    assert f"health on http://{shown}:{port}/readyz" in caplog.text


def test_the_joiner_answers_a_url_like_its_path() -> None:
    """Whatever host it names; what names none of its paths is 404, not a closed connection."""
    port, *_ = serve_health(Health().respond, Metrics().text, Endpoint(V4, 0, "JOINER_HTTP"))
    for target, status in (
        ("http://127.0.0.1:8001/livez", 200),
        ("HTTP://[::1]:1/readyz?x", 503),
        ("http://here", 404),
        ("http://[::1", 404),
        ("*", 404),
    ):
        said = exchange(port, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert status == int(said.split(b" ")[1])


def test_the_joiner_names_its_own_settings() -> None:
    """Where its port is taken."""
    with closed_afterwards(listen(at(V6))) as port, pytest.raises(AlreadyRunning, match=f"JOINER_HTTP_PORT={port} of"):
        serve_health(Health().respond, Metrics().text, Endpoint(V6, port, "JOINER_HTTP"))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reader_answers_in_both_families(workers: int, tmp_path: Path) -> None:
    """The whole program, with and without workers; it needs no Kafka to say that it lives."""
    port = free_port()
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": "[::1]:1",
        "READER_HOST": "::",
        "READER_PORT": str(port),
        "READER_WORKERS": str(workers),
        "READER_STATE_DIR": str(tmp_path / "state"),
    }
    log = tmp_path / "log"
    command = [sys.executable, "-m", "reader"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment(settings), cwd=ROOT, stdout=output, stderr=output)
    try:
        wait_for(lambda: {V4, V6} == answering(port), 60, "both families")
        for address in (V4, V6):
            assert 200 == ask(address, port, "GET", "/livez")[0]
            assert (200, b"") == ask(address, port, "HEAD", "/livez")[::2]
            assert 503 == ask(address, port, "GET", "/users/1")[0]
        assert log.read_text().count(f"serving http://[::]:{port}/users/{{userId}}") == workers
    finally:
        process.terminate()
        assert 0 == process.wait(30)
