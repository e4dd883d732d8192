"""The poller's settings: environment variables, read once at start."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from shared.listening import Endpoint
from shared.settings import Port, TopicName
from shared.sources import SourceSettings


class PollerSettings(SourceSettings):
    """The poller's settings."""

    poller_postgres_dsn: Annotated[str, StringConstraints(min_length=1)] = Field(
        "host=127.0.0.1 dbname=app user=postgres",
        description="How to connect to PostgreSQL, itself and not a pool; PGPASSWORD and its like count, too.",
        repr=False,
    )
    poller_interval_seconds: float = Field(
        0.5, gt=0, le=3600, description="Time from the end of one poll to the beginning of the next."
    )
    poller_compare_seconds: float = Field(
        5,
        ge=0,
        le=86_400,
        description="Least time between two comparisons of all keys, which find deletions; they never take more than a"
        " tenth of the time. 0: never, for tables whose rows are only marked as deleted.",
    )
    poller_deleted_where: dict[str, str] = Field(
        {},
        description="JSON object: table -> the SQL condition under which a row counts as deleted, such as"
        ' {"users": "deleted_at IS NOT NULL"}.',
    )
    poller_state_dir: Path = Field(
        Path(".local/poller"), description="Folder of the cursors and the known keys; each poller needs its own."
    )
    poller_name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,100}$")] = Field(
        "user-info-poller",
        description="Name of this capture within Kafka: of two pollers with the same name, only one writes.",
    )
    poller_partitions: int = Field(
        4, ge=1, le=10_000, description="Partitions of the source topics when they are created."
    )
    topic_replication_factor: int | None = Field(
        None, ge=1, le=100, description="Replicas of the topics that are created; unset: the broker's default."
    )
    heartbeats_topic: TopicName | None = Field(
        None, description="Topic to write heartbeats to, the joiner's HEARTBEATS_TOPIC; unset: none are written."
    )
    poller_http_host: str = Field(
        "127.0.0.1",
        description="Address or host name of /livez, /readyz and /metrics; :: is all addresses, IPv4 included.",
    )
    poller_http_port: Port = Field(8004, description="Port of /livez, /readyz and /metrics; 0: off.")

    @model_validator(mode="after")
    def _conditions_are_of_tables(self) -> "PollerSettings":
        unknown = self.poller_deleted_where.keys() - {source.table for source in self.view.sources}
        if unknown:
            raise ValueError(f"POLLER_DELETED_WHERE: the view reads no table {', '.join(sorted(unknown))}")
        return self

    @property
    def http_endpoint(self) -> Endpoint:
        """Where /livez, /readyz and /metrics are."""
        return Endpoint(self.poller_http_host, self.poller_http_port, "POLLER_HTTP")
