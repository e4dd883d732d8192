"""What a schema registry may answer, and what is made of it: by a server on this machine, with and without TLS."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from joiner.registry.client import REMEMBERED_SECONDS, SchemaRegistry
from joiner.registry.decoders import open_decoder
from shared.errors import BadRow, RegistryAway, RegistryError, SettingError
from shared.schema_registry import SchemaRegistrySettings
from stack.servers.security import Security

LONG = 200, {"schema": '"long"'}
UNKNOWN = 404, {"message": "Schema 1 not found.", "error_code": 40403}


class Server:
    """Answers as it is told to, and notes what it is asked."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.answer: tuple[int, object] = LONG
        self.asked: list[tuple[str, str | None]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append((self.path, self.headers["Authorization"]))
                status, document = server.answer
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                """Say nothing."""

        self._http = HTTPServer(("127.0.0.1", 0), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.url = f"http{'s' * (certificate is not None)}://127.0.0.1:{self._http.server_port}/apis"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    """Give a registry that knows every schema."""
    running = Server()
    yield running
    running.close()


class Clock:
    """Time that goes on when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def registry(url: str, patience_seconds: float = 30, clock: Clock | None = None, **more: str) -> SchemaRegistry:
    """Return a client with these settings."""
    settings = SchemaRegistrySettings.model_validate({"schema_registry_url": url, **more})
    return SchemaRegistry(settings, patience_seconds, clock or Clock())


def test_a_schema_is_asked_for_by_its_id_with_the_credentials(server: Server) -> None:
    """Below the URL's path, whether or not that ends with a slash; a password may hold a colon."""
    assert '"long"' == registry(server.url).find_schema(7)
    assert '"long"' == registry(f"{server.url}/", schema_registry_basic_auth="joiner:pass:word").find_schema(8)
    token = base64.b64encode(b"joiner:pass:word").decode()
    assert [("/apis/schemas/ids/7", None), ("/apis/schemas/ids/8", f"Basic {token}")] == server.asked


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"error_code": 50001}),
        (503, b""),
        (404, b"not found"),
        (404, {"error_code": 404}),
        (200, b"<html>"),
        (200, {"id": 7}),
        (302, b""),
    ],
)
def test_an_answer_that_is_no_registry_s_is_never_taken_for_an_unknown_schema(
    server: Server, answer: tuple[int, object]
) -> None:
    """A proxy in between, or a wrong path, must not make dead letters of all rows."""
    server.answer = answer
    client = registry(server.url, patience_seconds=0)
    with pytest.raises(RegistryAway, match="and not as a schema registry does") as away:
        client.find_schema(7)
    assert (7, "start it, or check SCHEMA_REGISTRY_URL") == (away.value.schema_id, away.value.hint)
    server.answer = LONG
    assert '"long"' == client.find_schema(7)


def test_a_registry_that_does_not_answer_is_away(server: Server) -> None:
    """However long; nothing is given up for want of an answer."""
    client = registry(server.url, patience_seconds=0)
    server.close()
    for _ in range(2):
        with pytest.raises(RegistryAway, match="does not answer"):
            client.find_schema(7)


def test_an_unknown_schema_is_asked_for_until_patience_ends(server: Server) -> None:
    """Then its rows are dead letters without a request each, and from time to time it is asked for again."""
    clock = Clock()
    client = registry(server.url, 30, clock)
    server.answer = UNKNOWN
    for _ in range(3):
        with pytest.raises(RegistryAway, match="does not know schema 1 yet"):
            client.find_schema(1)
        clock.now += 10
    for _ in range(3):
        with pytest.raises(BadRow, match="unknown-schema: the schema registry does not know schema 1"):
            client.find_schema(1)
    assert 4 == len(server.asked)
    server.answer = LONG
    clock.now += REMEMBERED_SECONDS
    assert '"long"' == client.find_schema(1)


def test_what_a_registry_did_not_know_before_it_was_away_is_waited_for_again(server: Server) -> None:
    """Patience is about what it says while it answers: one that comes back may still be filling up."""
    clock = Clock()
    client = registry(server.url, 30, clock)
    for answer in (UNKNOWN, (503, b""), UNKNOWN):
        server.answer = answer
        with pytest.raises(RegistryAway):
            client.find_schema(1)
        clock.now += 40


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"schema": "{}", "schemaType": "JSON"}, "schema 7 is of JSON, and only Avro is read"),
        ({"schema": "{}", "references": [{"name": "x"}]}, "schema 7 refers to other schemas"),
    ],
)
def test_a_schema_of_another_kind_is_refused(server: Server, document: object, said: str) -> None:
    """Nothing is guessed of it."""
    server.answer = 200, document
    with pytest.raises(BadRow, match=f"bad-schema: {said}"):
        registry(server.url).find_schema(7)


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_end_the_joiner(server: Server, status: int) -> None:
    """Waiting would not change them; the setting is named."""
    server.answer = status, {"error_code": status}
    with pytest.raises(RegistryError, match="refuses the credentials") as refused:
        registry(server.url).find_schema(7)
    assert "check SCHEMA_REGISTRY_BASIC_AUTH" == refused.value.hint


def test_a_certificate_is_trusted_by_the_file_that_is_named(tmp_path: Path) -> None:
    """And by no other: what comes of an impostor is no schema."""
    security = Security(tmp_path, {})
    security.prepare()
    server = Server(tmp_path / "keystore.pem")
    try:
        assert '"long"' == registry(server.url, schema_registry_ca_location=str(security.certificate)).find_schema(7)
        with pytest.raises(RegistryError, match="is not trusted") as refused:
            registry(server.url).find_schema(7)
        assert "check SCHEMA_REGISTRY_CA_LOCATION" == refused.value.hint
        with pytest.raises(SettingError, match=r"SCHEMA_REGISTRY_CA_LOCATION: .* holds no certificates"):
            registry(server.url, schema_registry_ca_location=str(tmp_path / "none"))
    finally:
        server.close()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"schema_registry_url": "registry:8081"}, "SCHEMA_REGISTRY_URL: must be one URL"),
        ({"schema_registry_url": "http://a:8081,http://b:8081"}, "SCHEMA_REGISTRY_URL: must be one URL"),
        ({"schema_registry_url": "https://joiner:secret@registry:8081"}, "SCHEMA_REGISTRY_BASIC_AUTH"),
        ({"schema_registry_basic_auth": "secret"}, "SCHEMA_REGISTRY_BASIC_AUTH: must be user:password"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, str], said: str) -> None:
    """At the start, not with the first row."""
    with pytest.raises(ValueError, match=said):
        SchemaRegistrySettings.model_validate(settings)


def test_without_a_registry_nothing_reads_avro() -> None:
    """Whoever reads JSON alone loads no library for it."""
    assert open_decoder(SchemaRegistrySettings.model_validate({})) is None
    assert open_decoder(SchemaRegistrySettings.model_validate({"schema_registry_url": "http://r:1"})) is not None
