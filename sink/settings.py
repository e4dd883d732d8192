"""The sinks' settings: environment variables, read once at start."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints, field_validator

from shared.listening import Endpoint
from shared.settings import KafkaSettings, Port


class SinkSettings(KafkaSettings):
    """What both sinks are told."""

    sink_http_host: str = Field(
        "127.0.0.1",
        description="Address or host name of /livez, /readyz and /metrics; :: is all addresses, IPv4 included.",
    )
    sink_http_port: Port = Field(8002, description="Port of /livez, /readyz and /metrics; 0: off.")

    @property
    def http_endpoint(self) -> Endpoint:
        """Where /livez, /readyz and /metrics are."""
        return Endpoint(self.sink_http_host, self.sink_http_port, "SINK_HTTP")


class PostgresSettings(SinkSettings):
    """The settings of the sink to PostgreSQL."""

    sink_postgres_dsn: SecretStr | None = Field(
        None, description="PostgreSQL, as its clients are told: a URL or words such as host=db dbname=shop; required."
    )
    sink_postgres_table: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,49}$")] = Field(
        "user_information", description="The table; others of the sink's begin with its name and an underscore."
    )


class RedisSettings(SinkSettings):
    """The settings of the sink to Redis."""

    sink_redis_url: SecretStr | None = Field(None, description="Redis, such as redis://cache:6379/0; required.")
    sink_redis_prefix: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,100}$")] = Field(
        "user:", description="What the keys begin with; the user's id follows. All such keys belong to the sink."
    )
    sink_redis_form: Literal["hash", "string"] = Field(
        "hash", description="What is under a key: hash, a field for each key of the record; string, the record's bytes."
    )

    @field_validator("sink_redis_prefix")
    @classmethod
    def _prefix_leaves_our_own_keys(cls, prefix: str) -> str:
        if f"sink:{prefix}".startswith(prefix):
            raise ValueError("the sink's own keys begin with sink: and would begin with this, too; choose another")
        return prefix
