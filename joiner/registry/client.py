"""Asks a schema registry for schemas, over the interface of Confluent's, which the others have as well.

Guarantees: an answer is one of four: the schema; it cannot be told yet; there is none; the registry refuses. A path
that leads elsewhere is never taken for a registry that does not know a schema.
"""

import ssl
import time
from collections.abc import Callable

import httpx

from shared.errors import BadRow, RegistryAway, RegistryError, SettingError
from shared.schema_registry import SchemaRegistrySettings

REQUEST_SECONDS = 5.0
"""The loop waits so long at most for an answer: less than a session, though heartbeats of the group go on meanwhile."""

UNKNOWN_SCHEMA = 40403
"""The error code of Confluent's interface."""

REMEMBERED_SECONDS = 60.0
"""How long a schema that was given up is not asked for again."""


class SchemaRegistry:
    """A registry. May be used from any thread.

    Args:
        settings: where it is, and how to reach it.
        patience_seconds: how long a schema that it does not know is asked for again.
        clock: seconds, monotonic.

    Raises:
        SettingError: the file of certificates cannot be used.
    """

    def __init__(
        self, settings: SchemaRegistrySettings, patience_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = (settings.schema_registry_url or "").rstrip("/")
        auth = settings.schema_registry_basic_auth
        user, _, password = auth.get_secret_value().partition(":") if auth is not None else ("", "", "")
        self._client = httpx.Client(
            timeout=REQUEST_SECONDS,
            verify=_trust(settings) if self._url.startswith("https:") else False,
            auth=None if auth is None else httpx.BasicAuth(user, password),
            trust_env=False,  # neither a proxy nor credentials that nobody has named here
        )
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._missed: dict[int, float] = {}
        """Schema -> since when the registry has said that it does not know it."""
        self._given_up: dict[int, float] = {}
        """Schema -> when it was last asked for in vain."""

    def find_schema(self, schema_id: int) -> str:
        """Return a schema as JSON.

        Raises:
            BadRow: the registry has not known it for as long as patience lasts, or it is not one of Avro.
            RegistryAway: the registry does not answer, or does not know it yet.
            RegistryError: the registry refuses.
        """
        now = self._clock()
        if now - self._given_up.get(schema_id, -REMEMBERED_SECONDS) < REMEMBERED_SECONDS:
            raise _refuse_unknown(schema_id)
        document = self._ask(schema_id)
        if document is None:
            waited = now - self._missed.setdefault(schema_id, now)
            if waited < self._patience_seconds:
                raise RegistryAway(
                    f"the schema registry at {self._url} does not know schema {schema_id} yet",
                    f"it is asked for {self._patience_seconds - waited:.0f} s more",
                    schema_id,
                )
            self._given_up[schema_id] = now
            raise _refuse_unknown(schema_id)
        self._missed.pop(schema_id, None)
        return _read_schema(document, schema_id)

    def _ask(self, schema_id: int) -> dict[str, object] | None:
        """Return what the registry says of a schema; None where it says that it does not know it."""
        try:
            response = self._client.get(f"{self._url}/schemas/ids/{schema_id}")
            document = response.json() if response.is_success or response.status_code == httpx.codes.NOT_FOUND else {}
        except httpx.HTTPError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise RegistryError(
                    f"the certificate of the schema registry at {self._url} is not trusted: {error}",
                    "check SCHEMA_REGISTRY_CA_LOCATION",
                ) from error
            raise self._describe_absence(schema_id, f"does not answer ({error!s:.200})") from error
        except ValueError:
            document = None
        code = response.status_code
        if code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise RegistryError(
                f"the schema registry at {self._url} refuses the credentials: {code}",
                "check SCHEMA_REGISTRY_BASIC_AUTH",
            )
        if isinstance(document, dict):
            if response.is_success and isinstance(document.get("schema"), str):
                return document
            if document.get("error_code") == UNKNOWN_SCHEMA:
                return None
        raise self._describe_absence(schema_id, f"answers {code}, and not as a schema registry does")

    def _describe_absence(self, schema_id: int, what: str) -> RegistryAway:
        # A registry that is away does not know that it lacks a schema.
        self._missed.clear()
        return RegistryAway(
            f"the schema registry at {self._url} {what}", "start it, or check SCHEMA_REGISTRY_URL", schema_id
        )


def _trust(settings: SchemaRegistrySettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.schema_registry_ca_location)
    except (OSError, ssl.SSLError) as error:
        raise SettingError(
            f"SCHEMA_REGISTRY_CA_LOCATION: {settings.schema_registry_ca_location} holds no certificates: {error}",
            "name a PEM file",
        ) from error


def _refuse_unknown(schema_id: int) -> BadRow:
    return BadRow(
        "unknown-schema",
        f"the schema registry does not know schema {schema_id}; once it does, replay it",
    )


def _read_schema(document: dict[str, object], schema_id: int) -> str:
    """Return the schema out of an answer.

    Raises:
        BadRow: it is of another format, or refers to others.
    """
    kind = document.get("schemaType", "AVRO")
    if kind != "AVRO":
        raise BadRow("bad-schema", f"schema {schema_id} is of {kind}, and only Avro is read")
    if document.get("references"):
        raise BadRow("bad-schema", f"schema {schema_id} refers to other schemas, which is not read: register it whole")
    return str(document["schema"])
