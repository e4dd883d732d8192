"""TLS and passwords for a broker of the stack: a self-signed certificate, and users that Kafka knows."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.errors import StackError

LISTENER = "SASL_SSL"
INSIDE = "INSIDE"
MECHANISM = "SCRAM-SHA-512"


@dataclass(frozen=True)
class Security:
    """What a broker demands of its clients.

    Args:
        folder: where its certificate and key are.
        users: name -> password.
    """

    folder: Path
    users: Mapping[str, str]

    @property
    def certificate(self) -> Path:
        """The certificate that clients have to trust."""
        return self.folder / "certificate.pem"

    def build_listeners(self, port: int, inside: int) -> dict[str, str]:
        """Return the broker's properties: clients use one port, the broker itself and the tests another."""
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        return {
            "listeners": f"{LISTENER}://127.0.0.1:{port},{INSIDE}://127.0.0.1:{inside}",
            "listener.security.protocol.map": f"{LISTENER}:SASL_SSL,{INSIDE}:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": INSIDE,
            f"listener.name.{LISTENER.lower()}.sasl.enabled.mechanisms": MECHANISM,
            f"listener.name.{LISTENER.lower()}.{MECHANISM.lower()}.sasl.jaas.config": login,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.folder / "keystore.pem"),
        }

    def build_format_options(self) -> list[str]:
        """Return the options that create the users when the broker's data folder is prepared.

        Raises:
            StackError: Kafka's tool has no way to write a name or password.
        """
        return [
            option
            for name, password in self.users.items()
            for option in ("--add-scram", f"{MECHANISM}=[name={_quote(name)},password={_quote(password)}]")
        ]

    def prepare(self) -> None:
        """Create certificate and key where they are missing.

        Raises:
            StackError: openssl is missing, or refuses.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.certificate.exists():
            key = self.folder / "key.pem"
            certify(self.certificate, key)
            (self.folder / "keystore.pem").write_text(key.read_text() + self.certificate.read_text())


def _quote(text: str) -> str:
    """Return a value as the tool reads it: without quotes, it would lose blanks and quotes at the ends."""
    if "," in text:
        # Its list of name and password is split at every comma, quoted or not.
        raise StackError(
            "a user's name or password holds a comma, which Kafka's storage tool cannot be given", "choose one without"
        )
    return f'"{text}"'


def certify(certificate: Path, key: Path) -> None:
    """Create a self-signed certificate for 127.0.0.1, and its key.

    Raises:
        StackError: openssl is missing, or refuses.
    """
    wanted = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "30", "-nodes")
    command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", *wanted, "-keyout", str(key), "-out", str(certificate))
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise StackError(
            "openssl is not installed, and a broker with TLS needs it", "install the package openssl"
        ) from error
    if done.returncode != 0:
        raise StackError(f"openssl creates no certificate: {done.stderr}")
