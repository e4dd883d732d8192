"""Settings of programs that read Avro: where its schemas are. Knows no request."""

import re
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_URL = re.compile(r"https?://[^\s/?#@,]+(/[^\s?#,]*)?")


class SchemaRegistrySettings(BaseSettings):
    """A registry that answers as Confluent's does."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    schema_registry_url: str | None = Field(
        None, description="URL of the schema registry, for keys and values in Avro; unset: they are dead letters."
    )
    schema_registry_basic_auth: SecretStr | None = Field(
        None, description="The registry's user and password, user:password; unset: none are sent."
    )
    schema_registry_ca_location: Path | None = Field(
        None, description="PEM file of the authorities that may sign the registry's certificate; unset: the system's."
    )
    schema_registry_patience_seconds: float = Field(
        30,
        ge=0,
        description="How long to ask again for a schema that the registry does not know; then it is given up.",
    )

    @model_validator(mode="after")
    def _registry_can_be_asked(self) -> Self:
        # Here and not in the fields' types, since those messages show the value.
        url, auth = self.schema_registry_url, self.schema_registry_basic_auth
        if url is not None and not _URL.fullmatch(url):
            raise ValueError(
                "SCHEMA_REGISTRY_URL: must be one URL such as https://registry:8081; user and password go into"
                " SCHEMA_REGISTRY_BASIC_AUTH"
            )
        if auth is not None and ":" not in auth.get_secret_value():
            raise ValueError("SCHEMA_REGISTRY_BASIC_AUTH: must be user:password")
        return self
