"""Settings: environment variables, read once at start, checked before anything is touched."""

import os
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, StringConstraints, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import SettingError
from shared.kafka import read_properties

TopicName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Port = Annotated[int, Field(ge=0, le=65535)]


class KafkaSettings(BaseSettings):
    """The settings of both tiers: where Kafka is, and the name of the served topic."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    kafka_bootstrap_servers: Annotated[str, StringConstraints(min_length=1)] = Field(
        "127.0.0.1:9092", description="Kafka's addresses, host:port separated by commas."
    )
    user_info_topic: TopicName = Field("user-info", description="The compacted topic of served records.")
    log_level: Annotated[str, StringConstraints(to_upper=True, pattern="^(?i:DEBUG|INFO|WARNING|ERROR)$")] = Field(
        "INFO", description="Least severity to log: DEBUG, INFO, WARNING or ERROR."
    )
    log_format: Literal["text", "json"] = Field("text", description="Log format: text for people, json for programs.")
    kafka_properties: dict[str, str] = Field(
        default_factory=lambda: read_properties(os.environ), exclude=True, repr=False, validation_alias="-"
    )

    def topic_names(self) -> dict[str, str]:
        """Return variable name -> topic name for every topic that is set."""
        named = {name.upper(): getattr(self, name) for name in type(self).model_fields if name.endswith("_topic")}
        return {variable: topic for variable, topic in named.items() if topic is not None}

    @model_validator(mode="after")
    def _topics_are_distinct(self) -> Self:
        seen: dict[str, str] = {}
        for variable, topic in self.topic_names().items():
            if topic in seen:
                raise ValueError(f"{seen[topic]} and {variable} both name the topic {topic!r}; give each its own")
            seen[topic] = variable
        return self


SettingsType = TypeVar("SettingsType", bound=BaseSettings)


def read_settings(settings: type[SettingsType]) -> SettingsType:
    """Read settings from the environment.

    Args:
        settings: the class that declares the variables.

    Raises:
        SettingError: a value does not parse or is out of range; names the variable and what it must be.
    """
    try:
        return settings()
    except ValidationError as error:
        raise SettingError("; ".join(_describe_problem(problem) for problem in error.errors())) from None


def _describe_problem(problem: object) -> str:
    assert isinstance(problem, dict)  # noqa: S101 - narrows pydantic's typed dictionary
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return message
    return f"{str(problem['loc'][0]).upper()}: {message} (it is {problem['input']!r})"


def describe_settings(settings: type[BaseSettings]) -> str:
    """Return one paragraph per variable for `--help`: name, meaning, default."""
    lines = []
    for name, field in settings.model_fields.items():
        if field.description:
            default = "" if field.default is None else f" [default: {field.default}]"
            lines.append(f"  {name.upper()}\n      {field.description}{default}")
    return "\n".join(lines)
