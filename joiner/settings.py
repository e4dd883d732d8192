"""The joiner's settings: environment variables, read once at start."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from shared.records import FOLLOWS, LIKES, TWEETS, USERS, Table
from shared.settings import KafkaSettings, Port, TopicName

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,100}$")]


class JoinerSettings(KafkaSettings):
    """What the joiner is told."""

    users_topic: TopicName = Field("users", description="Changelog topic of the table users.")
    tweets_topic: TopicName = Field("tweets", description="Changelog topic of the table tweets.")
    follows_topic: TopicName = Field("follows", description="Changelog topic of the table follows.")
    likes_topic: TopicName = Field("likes", description="Changelog topic of the table likes.")
    user_info_changes_topic: TopicName = Field(
        "user-info-changes", description="The joiner's internal topic; created where missing."
    )
    dead_letters_topic: TopicName = Field(
        "user-info-dead-letters", description="Where records go that no row can be read from; created where missing."
    )
    heartbeats_topic: TopicName | None = Field(
        None, description="Changelog topic of a table that is written once a second; unset: nobody knows how fresh."
    )
    joiner_writes_heartbeats: bool = Field(
        False, description="Write heartbeats into HEARTBEATS_TOPIC here, where no table is; leaves out CDC."
    )
    user_info_partitions: int = Field(
        8, ge=1, le=10_000, description="Partitions of user-info and the internal topic where they are created."
    )
    topic_replication_factor: int | None = Field(
        None, ge=1, le=100, description="Replicas of the topics that the joiner creates; unset: the broker's default."
    )
    joiner_group: Identifier = Field(
        "user-info-joiner", description="Consumer group, shared by every process that does this job together."
    )
    joiner_instance_id: Identifier = Field("0", description="This process within its group; each needs its own.")
    joiner_state_dir: Path = Field(Path(".local/joiner"), description="Folder of this process's state.")
    joiner_commit_interval_seconds: float = Field(
        0.1, gt=0, le=60, description="The shortest checkpoint: from one commit to the next while caught up."
    )
    joiner_commit_interval_max_seconds: float = Field(
        1.0, gt=0, le=60, description="The longest checkpoint: how often they are passed on while catching up."
    )
    joiner_wait_for_topics_seconds: float = Field(
        60, ge=0, description="How long to wait for Kafka and the source topics before giving up."
    )
    joiner_http_host: str = Field("127.0.0.1", description="Address of /livez, /readyz and /metrics.")
    joiner_http_port: Port = Field(8001, description="Port of /livez, /readyz and /metrics; 0: off.")

    @model_validator(mode="after")
    def _heartbeats_have_a_topic(self) -> Self:
        if self.joiner_writes_heartbeats and self.heartbeats_topic is None:
            raise ValueError("JOINER_WRITES_HEARTBEATS needs HEARTBEATS_TOPIC, the topic to write them into")
        return self

    @property
    def sources(self) -> dict[str, Table]:
        """Source topic -> the table whose changelog it is."""
        return {
            self.users_topic: USERS,
            self.tweets_topic: TWEETS,
            self.follows_topic: FOLLOWS,
            self.likes_topic: LIKES,
        }

    @property
    def transactional_id(self) -> str:
        """Stable per process, so that a restarted one ends its predecessor's open transaction at once."""
        return f"{self.joiner_group}-{self.joiner_instance_id}"

    @property
    def changelog_prefix(self) -> str:
        """What the names of the stores' changelogs begin with, as the engine has it."""
        return f"changelog__{self.joiner_group}--"

    @property
    def changelogs(self) -> dict[str, str]:
        """Topic -> the changelog of its store, under the engine's name; `users` has no store, its rows pass through."""
        stored = [topic for topic in (*self.sources, self.user_info_changes_topic) if topic != self.users_topic]
        return {topic: f"{self.changelog_prefix}{topic}--default" for topic in stored}

    @property
    def ledger_topic(self) -> str:
        """The topic in which the group notes what its state was built from."""
        return f"{self.joiner_group}-ledger"

    @property
    def local_state(self) -> Path:
        """Folder of the local stores; whoever deletes it loses time and nothing else."""
        return self.joiner_state_dir / "state"
