"""The reader's settings: environment variables, read once at start."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from shared.listening import Endpoint
from shared.settings import KafkaSettings, Port
from shared.shards import Shard

Origins = Annotated[
    str, StringConstraints(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^\s,/]+(\s*,\s*[a-z][a-z0-9+.-]*://[^\s,/]+)*)?$")
]
ResourceName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,99}$")]

TAKEN_NAMES = ("livez", "metrics", "missing", "readyz")
"""Names that no resource may have: paths of the reader's own, and a key next to the list of records."""


class ReaderSettings(KafkaSettings):
    """The reader's settings."""

    reader_host: str = Field(
        "127.0.0.1", description="Address or host name to listen on; :: is all addresses, IPv4 included."
    )
    reader_port: Port = Field(8000, description="Port to listen on; 0 takes a free one and logs it.")
    reader_resource: ResourceName = Field(
        "users", description="What users are served as: the first segment of their paths, as in /users/42."
    )
    reader_state_dir: Path = Field(Path(".local/reader"), description="Folder of this reader's copy of the topic.")
    reader_shard: str | None = Field(
        None,
        description="k/n, such as 0/2: hold only the partitions p of user-info with p mod n = k; unset: all of them.",
    )
    reader_snapshot: Path | None = Field(
        None, description="Snapshot folder to start from if READER_STATE_DIR is still empty; unset: none."
    )
    reader_workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Serving processes; with more than one, a further process follows the topic for them.",
    )
    reader_cors_origins: Origins = Field(
        "", description="Origins whose scripts may read users, separated by commas, or *; unset: none."
    )
    reader_max_connections: int = Field(
        2048, ge=1, le=100_000, description="Open connections per process; further ones get a 503."
    )
    reader_max_streams: int = Field(
        256, ge=0, le=10_000, description="Open event streams per process; further ones get a 503."
    )
    reader_request_seconds: float = Field(10, gt=0, le=3600, description="Time limit for a request to arrive.")
    reader_idle_seconds: float = Field(
        75, gt=0, le=86_400, description="Time limit between requests on a connection; must exceed the proxy's."
    )
    reader_max_staleness_seconds: float | None = Field(
        None,
        gt=0,
        description="/readyz returns 503 if the newest heartbeat is older or missing; unset: no heartbeat is checked.",
    )

    @field_validator("reader_resource")
    @classmethod
    def _resource_is_not_taken(cls, name: str) -> str:
        if name in TAKEN_NAMES:
            raise ValueError(f"the name has a meaning of its own, as do {', '.join(TAKEN_NAMES)}; choose another")
        return name

    @field_validator("reader_shard")
    @classmethod
    def _shard_is_one(cls, text: str | None) -> str | None:
        return None if text is None else str(Shard.parse(text))

    @property
    def shard(self) -> Shard | None:
        """The shard in `reader_shard`."""
        return None if self.reader_shard is None else Shard.parse(self.reader_shard)

    @property
    def endpoint(self) -> Endpoint:
        """Where to listen."""
        return Endpoint(self.reader_host, self.reader_port, "READER")

    @property
    def origins(self) -> list[str]:
        """Origins in `reader_cors_origins`."""
        return [origin.strip() for origin in self.reader_cors_origins.split(",") if origin.strip()]
