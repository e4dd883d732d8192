"""The reader's settings: environment variables, read once at start."""

from pathlib import Path

from pydantic import Field

from shared.settings import KafkaSettings, Port


class ReaderSettings(KafkaSettings):
    """What the reader is told."""

    reader_host: str = Field("127.0.0.1", description="Address that it listens on.")
    reader_port: Port = Field(8000, description="Port that it listens on; 0 takes a free one and logs it.")
    reader_state_dir: Path = Field(Path(".local/reader"), description="Folder of this process's copy of the topic.")
