"""The reader's settings: environment variables, read once at start."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from shared.settings import KafkaSettings, Port

Origins = Annotated[
    str, StringConstraints(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^\s,/]+(\s*,\s*[a-z][a-z0-9+.-]*://[^\s,/]+)*)?$")
]


class ReaderSettings(KafkaSettings):
    """What the reader is told."""

    reader_host: str = Field("127.0.0.1", description="Address that it listens on.")
    reader_port: Port = Field(8000, description="Port that it listens on; 0 takes a free one and logs it.")
    reader_state_dir: Path = Field(Path(".local/reader"), description="Folder of this process's copy of the topic.")
    reader_snapshot: Path | None = Field(
        None, description="Folder of a snapshot to start from where READER_STATE_DIR holds nothing yet; unset: none."
    )
    reader_workers: int = Field(
        1, ge=1, le=64, description="Processes that answer; with more than one, another follows the topic for them."
    )
    reader_cors_origins: Origins = Field(
        "", description="Origins whose scripts may read, separated by commas, or *; unset: nobody's."
    )
    reader_max_connections: int = Field(
        2048, ge=1, le=100_000, description="Connections at a time in one process; further ones get a 503."
    )
    reader_max_streams: int = Field(
        256, ge=0, le=10_000, description="Streams of events at a time in one process; further ones get a 503."
    )
    reader_request_seconds: float = Field(10, gt=0, le=3600, description="How long a request may take to arrive.")
    reader_idle_seconds: float = Field(
        75, gt=0, le=86_400, description="How long a connection may be silent between requests; longer than a proxy's."
    )

    reader_max_staleness_seconds: float | None = Field(
        None, gt=0, description="Oldest heartbeat with which /readyz answers 200; unset: any, or none at all."
    )

    @property
    def origins(self) -> list[str]:
        """The origins that were named."""
        return [origin.strip() for origin in self.reader_cors_origins.split(",") if origin.strip()]
