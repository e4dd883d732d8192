"""What one joiner process keeps while its loop comes and goes."""

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka.admin import AdminClient

from joiner import clients
from joiner.health import Health
from joiner.metrics import Metrics
from joiner.settings import JoinerSettings


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Handed to whatever works in the process.

    Args:
        settings: what the joiner is told.
        properties: librdkafka properties out of the environment.
        admin: a client of the cluster.
        health: told what the loop does.
        metrics: told what is counted.
    """

    settings: JoinerSettings
    properties: Mapping[str, str]
    admin: AdminClient
    health: Health
    metrics: Metrics

    @property
    def client(self) -> dict[str, str]:
        """What every Kafka client needs."""
        return clients.client(self.settings, self.properties)
