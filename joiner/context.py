"""What one joiner process keeps while its loop comes and goes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from confluent_kafka.admin import AdminClient

from joiner.health import Health
from joiner.kafka import config
from joiner.metrics import Metrics
from joiner.settings import JoinerSettings


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to whatever works in the process.

    Args:
        settings: what the joiner is told.
        properties: librdkafka properties out of the environment.
        admin: a client of the cluster.
        health: told what the loop does.
        metrics: told what is counted.
        applications: the engine's, one for each time that the loop was begun.
    """

    settings: JoinerSettings
    properties: Mapping[str, str]
    admin: AdminClient
    health: Health
    metrics: Metrics
    applications: list[object] = field(default_factory=list)

    @property
    def client(self) -> dict[str, str]:
        """What every Kafka client needs."""
        return config.client(self.settings, self.properties)
