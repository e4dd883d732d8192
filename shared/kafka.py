"""Kafka client properties out of the environment: `KAFKA_<PROPERTY>` becomes librdkafka's `<property>`.

Platforms inject variables of their own that begin with KAFKA_, so a name that librdkafka does not know is only warned
of; a name that exactness rests on is refused. No client library is imported: the caller hands in the client to try.
"""

import logging
import re
from collections.abc import Callable, Mapping

from shared.errors import SettingError
from shared.topics import MAX_MESSAGE_BYTES

logger = logging.getLogger(__name__)

PREFIX = "KAFKA_"
BOOTSTRAP = "KAFKA_BOOTSTRAP_SERVERS"

REFUSED = frozenset(
    {
        "acks",
        "allow.auto.create.topics",
        "auto.commit.enable",
        "auto.offset.reset",
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
        "partition.assignment.strategy",
        "partitioner",
        "request.required.acks",
        "retries",
        "transaction.timeout.ms",
        "transactional.id",
    }
)
"""Properties that exactness, replication or the contract of the topics rests on; the service sets them itself."""

FOR_PROGRAMS = frozenset({"default.topic.config", "logger"})
"""Names under which the Python client takes objects of a program; no text can set them."""

COMMON = {
    "message.max.bytes": MAX_MESSAGE_BYTES,
    "log.connection.close": False,
    "reconnect.backoff.max.ms": 2000,
}
"""What every client of the service is given: records of 4 MiB pass, a broker that comes back is found soon."""


def properties_from(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the client properties that an environment sets, apart from the bootstrap servers.

    Args:
        environment: variable name -> value, such as os.environ.

    Raises:
        SettingError: a property is the service's own to set; names the variable.
    """
    found = {}
    for variable, value in sorted(environment.items()):
        if not variable.startswith(PREFIX) or variable == BOOTSTRAP:
            continue
        name = variable.removeprefix(PREFIX).lower().replace("_", ".")
        if name in FOR_PROGRAMS:
            _warn_of_unknown(name)
            continue
        if name in REFUSED:
            raise SettingError(
                f"{variable}: the service sets {name} itself, because its exactness rests on it; unset {variable}"
            )
        found[name] = value
    return found


def understood(properties: Mapping[str, str], client: Callable[[dict[str, object]], object]) -> dict[str, str]:
    """Return the properties that the client library takes, having warned of those that it does not know.

    Args:
        properties: librdkafka property -> value, as `properties_from` returns them.
        client: makes a client out of a configuration and raises where it is wrong, such as confluent_kafka's
            AdminClient; it connects to nothing before it is used.

    Raises:
        SettingError: a property is known, but its value is refused; names the variable.
    """
    kept = dict(properties)
    while kept:
        try:
            client({"log_level": 0, **kept})
        except Exception as error:
            message = str(error)
            unknown = re.search(r'No such configuration property: "([^"]*)"', message)
            if unknown is None or unknown[1] not in kept:
                raise SettingError(_refusal(message, kept)) from error
            _warn_of_unknown(unknown[1])
            del kept[unknown[1]]
        else:
            break
    return kept


def variable_of(name: str) -> str:
    """Return the environment variable that sets a property."""
    return PREFIX + name.upper().replace(".", "_")


def _warn_of_unknown(name: str) -> None:
    logger.warning("%s is ignored: the Kafka client has no property %s", variable_of(name), name)


def _refusal(message: str, properties: Mapping[str, str]) -> str:
    said = re.search(r'str="(.*)"', message, re.DOTALL)
    reason = said[1].strip() if said else message
    named = [name for name in properties if name in reason] or list(properties)
    return f"{', '.join(variable_of(name) for name in named)}: the Kafka client refuses it: {reason}"
