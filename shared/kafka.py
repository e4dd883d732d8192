"""Kafka client properties from the environment: `KAFKA_<PROPERTY>` becomes librdkafka's `<property>`.

Platforms inject variables of their own that begin with KAFKA_, so a name that librdkafka does not know causes only a
warning. A name that exactness depends on is refused. Imports no client library: callers pass the client to try.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from shared.errors import KafkaError, SettingError
from shared.topics import MAX_MESSAGE_BYTES

logger = logging.getLogger(__name__)

PREFIX = "KAFKA_"
BOOTSTRAP = "KAFKA_BOOTSTRAP_SERVERS"

REFUSED = frozenset(
    {
        "acks",
        "allow.auto.create.topics",
        "api.version.request",
        "auto.commit.enable",
        "auto.offset.reset",
        "broker.version.fallback",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "group.remote.assignor",
        "isolation.level",
        "max.in.flight",
        "max.in.flight.requests.per.connection",
        "message.send.max.retries",
        "metadata.broker.list",
        "offset.store.method",
        "partition.assignment.strategy",
        "partitioner",
        "request.required.acks",
        "retries",
        "transaction.timeout.ms",
        "transactional.id",
    }
)
"""Properties that exactness, replication or the contract of the topics depends on; the service sets them itself."""

ALIASES = {"delivery.timeout.ms": "message.timeout.ms", "fetch.message.max.bytes": "max.partition.fetch.bytes"}
"""A property -> the client library's other name for it, which it uses when it refuses a value."""

FOR_PROGRAMS = frozenset({"default.topic.config", "logger"})
"""Names under which the Python client takes objects of a program; text cannot set them."""

CREDENTIALS_SECONDS = 5.0
"""How long Kafka may take to refuse the credentials; after that, its silence is treated as an outage that passes."""

REFUSALS = {
    "_AUTHENTICATION": (
        "Kafka at {servers} does not accept the credentials: {reason}",
        "check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM",
    ),
    "_SSL": ("the certificate of Kafka at {servers} is not trusted: {reason}", "check KAFKA_SSL_CA_LOCATION"),
}
"""The client library's name for a refusal -> what happened, and what to do."""

PARTITION_EOF = -191
"""librdkafka's error code for the end of a partition, which a consumer reports like a message."""

COMMON = {
    "message.max.bytes": MAX_MESSAGE_BYTES,
    "log.connection.close": False,
    "reconnect.backoff.max.ms": 2000,
}
"""What every client gets: records of 4 MiB pass, and a broker that comes back is found soon."""


def read_properties(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the client properties that an environment sets, apart from the bootstrap servers.

    Args:
        environment: variable name -> value, such as os.environ.

    Raises:
        SettingError: only the service may set a property, or its value would refuse records that the topics may hold;
            names the variable.
    """
    found = {}
    for variable, value in sorted(environment.items()):
        if not variable.startswith(PREFIX) or variable == BOOTSTRAP:
            continue
        name = variable.removeprefix(PREFIX).lower().replace("_", ".")
        if name in FOR_PROGRAMS:
            _warn_unknown(name)
            continue
        if name in REFUSED:
            raise SettingError(
                f"{variable}: the service sets {name} itself, because its exactness depends on it",
                hint=f"unset {variable}",
            )
        _refuse_value(variable, name, value)
        found[name] = value
    return found


def _refuse_value(variable: str, name: str, value: str) -> None:
    if name == "bootstrap.servers":
        raise SettingError(f"{variable}: Kafka's addresses are read from {BOOTSTRAP} alone", hint="set that instead")
    if name == "message.max.bytes" and not (value.isdecimal() and int(value) >= MAX_MESSAGE_BYTES):
        raise SettingError(
            f"{variable}: must be at least {MAX_MESSAGE_BYTES}, so that every record of the topics passes"
            f" (it is {value!r})",
            hint=f"raise it, or unset {variable}",
        )
    if name.endswith("password") and value[:1].isspace():
        raise SettingError(
            f"{variable}: begins with a blank, which Kafka's client leaves out, so that another password would be sent",
            hint="remove the blank, or choose a password without one in front",
        )


def build_config(
    properties: Mapping[str, str], preferred: Mapping[str, object], own: Mapping[str, object]
) -> dict[str, object]:
    """Return a client's configuration: the environment overrides what the service prefers, and nothing else.

    Args:
        properties: librdkafka property -> value, from the environment.
        preferred: what the client gets if the environment says nothing.
        own: what only the service may set; each is in `REFUSED`, so nothing is overridden silently.
    """
    assert own.keys() <= REFUSED, own.keys() - REFUSED  # noqa: S101 - a mistake of the caller
    return {**COMMON, **preferred, **properties, **own}


def filter_known_properties(
    properties: Mapping[str, str],
    client: Callable[[dict[str, object]], object],
    configuration: Callable[[Mapping[str, str]], Mapping[str, object]] = dict,
) -> dict[str, str]:
    """Return the properties that the client library knows, and warn of the others.

    Args:
        properties: librdkafka property -> value, as `read_properties` returns them.
        client: creates a client from a configuration and raises if it is wrong, such as confluent_kafka's AdminClient;
            it does not connect before it is used.
        configuration: returns what the client will get with these properties, such as `build_config` does, so that
            conflicting values are found now.

    Raises:
        SettingError: a property is known, but its value is refused; names the variable.
    """
    kept = dict(properties)
    while kept:
        tried = {**configuration(kept), "log_level": 0}
        try:
            client(tried)
        except Exception as error:
            message = str(error)
            unknown = re.search(r'No such configuration property: "([^"]*)"', message)
            if unknown is None or unknown[1] not in kept:
                raise SettingError(_describe_refusal(message, kept, tried)) from error
            _warn_unknown(unknown[1])
            del kept[unknown[1]]
        else:
            break
    return kept


def check_credentials(
    servers: str, properties: Mapping[str, str], client: Callable[[dict[str, object]], Any]
) -> dict[str, str]:
    """Check once that Kafka accepts the configured credentials; return the properties unchanged.

    If Kafka does not answer at all, this returns too: waiting for Kafka is the caller's task.

    Args:
        servers: Kafka's addresses.
        properties: as `filter_known_properties` returns them.
        client: confluent_kafka's AdminClient.

    Raises:
        KafkaError: Kafka refuses the credentials, or its certificate is not trusted; the hint names the variables.
    """
    errors: list[Any] = []
    if any(name.startswith(("security.", "sasl.", "ssl.")) for name in properties):
        admin = client({"bootstrap.servers": servers, **properties, "log_level": 0, "error_cb": errors.append})
        deadline = time.monotonic() + CREDENTIALS_SECONDS
        while not _answers(admin) and time.monotonic() < deadline:
            for refusal in (error for error in errors if error.name() in REFUSALS):
                what, hint = REFUSALS[refusal.name()]
                raise KafkaError(what.format(servers=servers, reason=refusal.str()), hint)
    return dict(properties)


def _answers(admin: Any) -> bool:  # noqa: ANN401 - the client's class is the caller's
    try:
        admin.list_topics(timeout=1)
    except Exception:  # noqa: BLE001 - the client library is the caller's, and so are its exceptions
        admin.poll(0)
        return False
    return True


def is_end_of_partition(event: Any) -> bool:  # noqa: ANN401 - the client's class is the caller's
    """Return whether a consumer's event reports the end of a partition, and is not a record.

    Args:
        event: confluent_kafka's Message.
    """
    error = event.error()
    return error is not None and error.code() == PARTITION_EOF


def variable_name(name: str) -> str:
    """Return the name of the environment variable that sets a property."""
    return PREFIX + name.upper().replace(".", "_")


def _warn_unknown(name: str) -> None:
    logger.warning("%s is ignored: the Kafka client has no property %s", variable_name(name), name)


def _describe_refusal(message: str, properties: Mapping[str, str], tried: Mapping[str, object]) -> str:
    said = re.search(r'str="(.*)"', message, re.DOTALL)
    reason = said[1].strip() if said else message
    named = [name for name in properties if name in reason or ALIASES.get(name, name) in reason] or list(properties)
    ours = [name for name in re.findall(r"`([a-z.]+)`", reason) if name in tried and name not in properties]
    others = f" (the service sets {', '.join(f'{name}={tried[name]}' for name in ours)})" if ours else ""
    return f"{', '.join(variable_name(name) for name in named)}: the Kafka client refuses it: {reason}{others}"


def to_kafka_error(error: Any) -> KafkaError:  # noqa: ANN401 - the client's class is the caller's
    """Return the client library's KafkaException as an error with a hint."""
    return KafkaError(f"Kafka: {error.args[0].str()}", f"check that Kafka works and that {BOOTSTRAP} leads to it")
