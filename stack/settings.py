"""The local stack's settings: environment variables."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

# Not 0, which means any free port: other programs need to know these ports.
Port = Annotated[int, Field(ge=1, le=65535)]


class StackSettings(BaseSettings):
    """Where the local stack keeps its data and listens, always on 127.0.0.1."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    stack_dir: Path = Field(
        Path(".local"), description="Folder of all data and logs; of an example, unless it is set, .local/EXAMPLE."
    )
    stack_example: str | None = Field(
        None, description="Folder in examples/ whose tables, connector, view and load are used; unset: those of ops/."
    )
    stack_kafka_port: Port = Field(9092, description="Port of Kafka.")
    stack_postgres_port: Port = Field(5433, description="Port of PostgreSQL.")
    stack_connect_port: Port = Field(8083, description="Port of Kafka Connect's REST interface.")

    @model_validator(mode="before")
    @classmethod
    def _examples_are_apart(cls, values: dict[str, Any]) -> dict[str, Any]:
        example = values.get("stack_example")
        return {"stack_dir": f".local/{example}", **values} if example else values

    @field_validator("stack_dir")
    @classmethod
    def _java_finds_its_files(cls, folder: Path) -> Path:
        try:
            str(folder.absolute()).encode()
        except UnicodeEncodeError:
            raise ValueError("the folder's name is not UTF-8, and Java would not find it") from None
        return folder

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's address."""
        return f"127.0.0.1:{self.stack_kafka_port}"
