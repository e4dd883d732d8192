"""The joiner's settings: environment variables, read once at start."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from joiner.core.plan import Plan, Table, compile_view
from joiner.queries.lease import MOST_COMMIT_SECONDS
from shared.listening import Endpoint
from shared.schema_registry import SchemaRegistrySettings
from shared.settings import Port, TopicName
from shared.sources import SourceSettings
from shared.unavailable import UNAVAILABLE, expand_placeholder

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,100}$")]


class JoinerSettings(SourceSettings, SchemaRegistrySettings):
    """The joiner's settings."""

    user_info_changes_topic: TopicName = Field(
        "user-info-changes", description="The joiner's internal topic; created where missing."
    )
    dead_letters_topic: TopicName = Field(
        "user-info-dead-letters",
        description="Topic for source records that no row can be read from; created where missing.",
    )
    heartbeats_topic: TopicName | None = Field(
        None, description="Changelog topic of a table that is written once a second; unset: freshness is not measured."
    )
    joiner_writes_heartbeats: bool = Field(
        False,
        description="Write heartbeats to HEARTBEATS_TOPIC, where no table does; leaves out delays before Kafka.",
    )
    user_info_partitions: int = Field(
        8, ge=1, le=10_000, description="Partitions of user-info and of the internal topic when they are created."
    )
    topic_replication_factor: int | None = Field(
        None, ge=1, le=100, description="Replicas of the topics that the joiner creates; unset: the broker's default."
    )
    unavailable_value: Annotated[str, StringConstraints(min_length=1)] = Field(
        UNAVAILABLE,
        description="The connector's unavailable.value.placeholder, written alike: what stands for a value not sent.",
    )
    joiner_group: Identifier = Field(
        "user-info-joiner", description="Consumer group; joiners with the same group share the work."
    )
    joiner_instance_id: Identifier = Field(
        "0", description="Id of this process within its group; each process needs its own."
    )
    joiner_state_dir: Path = Field(
        Path(".local/joiner"), description="Folder of this process's local state; each process needs its own."
    )
    joiner_commit_interval_seconds: float = Field(
        0.1, gt=0, le=60, description="Shortest time from one commit to the next, while caught up."
    )
    joiner_commit_interval_max_seconds: float = Field(
        1.0, gt=0, le=60, description="Longest time from one commit to the next, while catching up."
    )
    joiner_wait_for_topics_seconds: float = Field(
        60, ge=0, description="How long to wait for Kafka and the source topics before giving up."
    )
    joiner_http_host: str = Field(
        "127.0.0.1",
        description="Address or host name of /livez, /readyz and /metrics; :: is all addresses, IPv4 included.",
    )
    joiner_http_port: Port = Field(8001, description="Port of /livez, /readyz and /metrics; 0: off.")
    joiner_serves_users: bool = Field(
        False, description="Answer GET /users/{id} on that port as well, out of the joiner's own state."
    )
    joiner_advertised_url: (
        Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~%-]+)*/?$")] | None
    ) = Field(None, description="Where clients reach that port of this joiner; other joiners send them there.")

    @model_validator(mode="after")
    def _heartbeats_have_a_topic(self) -> Self:
        if self.joiner_writes_heartbeats and self.heartbeats_topic is None:
            raise ValueError("JOINER_WRITES_HEARTBEATS needs HEARTBEATS_TOPIC, the topic to write them to")
        return self

    @model_validator(mode="after")
    def _what_serves_can_be_reached(self) -> Self:
        if not self.joiner_serves_users:
            return self
        if self.joiner_advertised_url is None:
            raise ValueError("JOINER_SERVES_USERS needs JOINER_ADVERTISED_URL, such as http://joiner-0:8001")
        if not self.joiner_http_port:
            raise ValueError("JOINER_SERVES_USERS needs JOINER_HTTP_PORT, which is 0: off")
        longest = max(self.joiner_commit_interval_seconds, self.joiner_commit_interval_max_seconds)
        if longest > MOST_COMMIT_SECONDS:
            raise ValueError(
                f"JOINER_SERVES_USERS needs a commit at least every {MOST_COMMIT_SECONDS:g} s, by which Kafka confirms"
                " what may be answered: set JOINER_COMMIT_INTERVAL_SECONDS and JOINER_COMMIT_INTERVAL_MAX_SECONDS so"
            )
        return self

    @field_validator("unavailable_value")
    @classmethod
    def _placeholder_has_bytes(cls, value: str) -> str:
        expand_placeholder(value)
        return value

    @property
    def http_endpoint(self) -> Endpoint:
        """Where /livez, /readyz and /metrics are."""
        return Endpoint(self.joiner_http_host, self.joiner_http_port, "JOINER_HTTP")

    @cached_property
    def plan(self) -> Plan:
        """What the view asks of the joiner."""
        return compile_view(self.view, expand_placeholder(self.unavailable_value))

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Source topic -> how the rows of its table are read."""
        return {topic: self.plan.tables[source.table] for topic, source in self.sources.items()}

    @property
    def relies_on_heartbeats(self) -> bool:
        """True where heartbeats come from the source: the first one says that no snapshot is being written any more."""
        return self.heartbeats_topic is not None and not self.joiner_writes_heartbeats

    @property
    def transactional_id(self) -> str:
        """Id of this process's transactions: stable, so a restarted process aborts its old transaction at once."""
        return f"{self.joiner_group}-{self.joiner_instance_id}"

    @property
    def changelog_prefix(self) -> str:
        """What the names of the stores' changelogs begin with; the engine chooses it."""
        return f"changelog__{self.joiner_group}--"

    @property
    def changelogs(self) -> dict[str, str]:
        """Topic -> the changelog of its store, named by the engine; rows that nothing aggregates are passed on."""
        stored = [topic for topic, table in self.tables.items() if table.columns]
        topics = (*stored, self.user_info_changes_topic)
        return {topic: f"{self.changelog_prefix}{topic}--default" for topic in topics}

    @property
    def ledger_topic(self) -> str:
        """Topic in which the group notes what its state was built from."""
        return f"{self.joiner_group}-ledger"

    @property
    def local_state(self) -> Path:
        """Folder of the local stores; deleting it costs time and nothing else."""
        return self.joiner_state_dir / "state"
