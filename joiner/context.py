"""What one joiner process keeps while its loop begins and ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka.admin import AdminClient

from joiner.health import Health
from joiner.kafka import config
from joiner.metrics import Metrics
from joiner.queries.responses import UserQueries
from joiner.settings import JoinerSettings

if TYPE_CHECKING:
    from joiner.core.avro import AvroDecoder


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to the loop and to every background thread; each of its parts may be used from any thread.

    Args:
        settings: the joiner's.
        properties: librdkafka properties from the environment.
        admin: a client of the cluster.
        health: what the loop does, as it is reported.
        metrics: what is counted, as it is reported.
        queries: what answers for users; None: nothing does.
        avro: reads Avro; None: no schema registry is known.
    """

    settings: JoinerSettings
    properties: Mapping[str, str]
    admin: AdminClient
    health: Health
    metrics: Metrics
    queries: UserQueries | None = None
    avro: "AvroDecoder | None" = None

    @property
    def client(self) -> dict[str, str]:
        """What every Kafka client needs."""
        return config.client_config(self.settings, self.properties)
