"""The local stack's settings: environment variables."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

# Not 0, which means any free port: other programs need to know these ports.
Port = Annotated[int, Field(ge=1, le=65535)]


class StackSettings(BaseSettings):
    """Where the local stack keeps its data and listens, always on 127.0.0.1."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    stack_dir: Path = Field(
        Path(".local"),
        description="Folder of all data and logs; unless it is set, that of an example is .local/EXAMPLE, and polled"
        " tables and Avro have one of their own in it, polling and avro.",
    )
    stack_example: str | None = Field(
        None, description="Folder in examples/ whose tables, connector, view and load are used; unset: those of ops/."
    )
    stack_capture: Literal["debezium", "polling"] = Field(
        "debezium", description="How rows come into the topics: by Kafka Connect with Debezium, or by the poller."
    )
    stack_format: Literal["json", "avro"] = Field(
        "json", description="What Debezium writes; avro needs a schema registry, which the stack then has, too."
    )
    stack_kafka_port: Port = Field(9092, description="Port of Kafka.")
    stack_postgres_port: Port = Field(5433, description="Port of PostgreSQL.")
    stack_connect_port: Port = Field(8083, description="Port of Kafka Connect's REST interface.")
    stack_registry_port: Port = Field(8081, description="Port of the schema registry, where STACK_FORMAT is avro.")

    @model_validator(mode="before")
    @classmethod
    def _stacks_are_apart(cls, values: dict[str, Any]) -> dict[str, Any]:
        capture, form = values.get("stack_capture"), values.get("stack_format")
        parts = [".local", values.get("stack_example")]
        parts += ["polling" if capture == "polling" else None, "avro" if form == "avro" else None]
        return {"stack_dir": "/".join(filter(None, parts)), **values}

    @model_validator(mode="after")
    def _poller_writes_json(self) -> Self:
        if self.stack_capture == "polling" and self.stack_format == "avro":
            raise ValueError("STACK_FORMAT=avro needs STACK_CAPTURE=debezium: the poller writes JSON")
        return self

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
