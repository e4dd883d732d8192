"""A Kafka that asks for TLS and a password: joiner, reader and commands are let in; a refusal is explained once."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from stack.servers.kafka import Kafka
from stack.servers.security import MECHANISM, Security, certify
from tests.support.joiners import Joiner
from tests.support.readers import Reader
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

PASSWORD = r"""hunter2 "'\#!%=:;[]{}$x ü中 """  # noqa: S105 - known to this test's own broker alone

FOLDER = r" tls \u0041#!=: %s ü中"


@pytest.fixture(scope="module")
def secured() -> Iterator[Kafka]:
    """Give a broker that lets in one user, and whose certificate only this test knows."""
    with TemporaryDirectory(prefix="user-information-service-") as folder:
        security = Security(Path(folder) / FOLDER, {"service": PASSWORD})
        with Kafka(Path(folder) / "kafka", security=security) as kafka:
            yield kafka


@pytest.fixture
def access(secured: Kafka) -> dict[str, str]:
    """Give the settings with which the broker lets a client in."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": secured.bootstrap_servers,
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": MECHANISM,
        "KAFKA_SASL_USERNAME": "service",
        "KAFKA_SASL_PASSWORD": PASSWORD,
        "KAFKA_SSL_CA_LOCATION": str(secured.folder.parent / FOLDER / "certificate.pem"),
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "json",
    }


@pytest.fixture
def topics(secured: Kafka) -> Topics:
    """Give topics of this test's own, written to by the broker's own way in."""
    made = Topics(secured.inside_servers)
    made.create_sources()
    return made


def tier_of(tier: str, topics: Topics, access: dict[str, str], folder: Path) -> Joiner | Reader:
    """Return a joiner or a reader on the test's topics, not started."""
    made = Joiner if tier == "joiner" else Reader
    return made({**topics.settings(), **access}, folder / tier)


def test_rows_become_answers_on_a_secured_kafka(topics: Topics, access: dict[str, str], tmp_path: Path) -> None:
    """Both tiers and a command work with TLS and a password, and no line that they log holds the password."""
    topics.put("users", user_id="alice")
    topics.put("likes", like_id=1, user_id="alice")
    topics.send("likes", b"2", b"{")
    topics.flush()
    with (
        Joiner({**topics.settings(), **access}, tmp_path / "joiner") as joiner,
        Reader({**topics.settings(), **access}, tmp_path / "reader") as reader,
    ):
        joiner.wait_until_ready()
        reader.wait_until_ready()

        def likes() -> object:
            return reader.get("/users/alice").json().get("likeCount")

        wait_for(lambda: likes() == 1, 60, "alice with one like")
        joiner.wait_until_said('"topic": "' + topics.name("likes"), 30)
        letters = joiner.run("dead-letters").start()
        assert 0 == letters.wait(60)
        assert "bad-json" in letters.log()
        logs = [joiner.log(), reader.log(), letters.log()]
    assert [False, False, False] == [PASSWORD in log for log in logs]
    for line in (logs[0] + logs[1]).splitlines():
        assert json.loads(line)["message"]


@pytest.mark.parametrize("tier", ["joiner", "reader"])
def test_wrong_credentials_end_in_one_clear_error(
    tier: str, topics: Topics, access: dict[str, str], tmp_path: Path
) -> None:
    """Who is not let in ends at once, and says which settings to look at, but not what they hold."""
    log = refusal(tier_of(tier, topics, access | {"KAFKA_SASL_PASSWORD": "wrong-password"}, tmp_path))
    assert "does not accept the credentials" in log
    assert "KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM" in log
    assert "wrong-password" not in log


@pytest.mark.parametrize("tier", ["joiner", "reader"])
def test_an_untrusted_certificate_ends_in_one_clear_error(
    tier: str, topics: Topics, access: dict[str, str], tmp_path: Path
) -> None:
    """No password is sent to a broker whose certificate is not trusted; the message names the setting."""
    other = tmp_path / "other.pem"
    certify(other, tmp_path / "other.key")
    log = refusal(tier_of(tier, topics, access | {"KAFKA_SSL_CA_LOCATION": str(other)}, tmp_path))
    assert "is not trusted" in log
    assert "check KAFKA_SSL_CA_LOCATION" in log


def refusal(tier: Joiner | Reader) -> str:
    """Return what a tier says, apart from events in JSON, before it ends with status 1: an error and what to do."""
    with tier as program:
        assert 1 == program.wait(60)
        error, hint = [line for line in program.log().splitlines() if not line.startswith("{")]
    assert error.startswith("Error: ")
    assert hint.startswith("  Try: ")
    return f"{error}; {hint.removeprefix('  Try: ')}"
