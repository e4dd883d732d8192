"""`python -m sink postgres` and `python -m sink redis`."""

import importlib
from typing import Any

import click
from pydantic import SecretStr

from replication.kafka.errors import TRANSLATIONS
from shared.cli import Program
from shared.errors import SettingError, UserInformationError
from shared.settings import describe_settings, read_settings
from sink import service
from sink.settings import PostgresSettings, RedisSettings

CONTEXT = {"max_content_width": 100}
KAFKA = "\n  KAFKA_<PROPERTY>\n      Any property of librdkafka, such as KAFKA_SECURITY_PROTOCOL=ssl."


@click.group(context_settings=CONTEXT)
def main() -> None:
    """Keep the records of the topic user-info in a store that other programs read.

    Each record is applied once, in one transaction with the position that follows it. Nothing shows in the store before
    all of the topic is whole. Run one sink for each table or prefix; a second one is refused.
    """


@main.command(
    epilog=f"\b\nSettings, all environment variables:\n{describe_settings(PostgresSettings)}{KAFKA}",
    context_settings=CONTEXT,
)
def postgres() -> None:
    """Keep them in a table of PostgreSQL: a row for each user, a column for each key."""
    settings = read_settings(PostgresSettings)
    dsn = _require("SINK_POSTGRES_DSN", settings.sink_postgres_dsn, "such as postgresql://sink@db/shop")
    store = _import("postgres", "psycopg").PostgresStore(dsn, settings.sink_postgres_table)
    service.run(settings, store, f"the table {settings.sink_postgres_table}_refused")


@main.command(
    epilog=f"\b\nSettings, all environment variables:\n{describe_settings(RedisSettings)}{KAFKA}",
    context_settings=CONTEXT,
)
def redis() -> None:
    """Keep them in Redis: a hash for each user, or the record as a string."""
    settings = read_settings(RedisSettings)
    url = _require("SINK_REDIS_URL", settings.sink_redis_url, "such as redis://cache:6379/0")
    module = _import("redis", "redis")
    try:
        store = module.RedisStore(url, settings.sink_redis_prefix, settings.sink_redis_form)
    except ValueError as error:
        raise SettingError(f"SINK_REDIS_URL: {error}", "set it, such as redis://cache:6379/0") from error
    service.run(settings, store, f"the hash sink:{settings.sink_redis_prefix}refused:live")


def _require(name: str, value: SecretStr | None, example: str) -> str:
    if value is None:
        raise SettingError(f"{name}: it is not set", f"set it, {example}")
    return value.get_secret_value()


def _import(store: str, library: str) -> Any:  # noqa: ANN401 - a module
    """Return the module of a store, whose library may be missing: each has an extra of its own."""
    try:
        return importlib.import_module(f"sink.{store}.store")
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        raise UserInformationError(
            f"python -m sink {store} needs the library {library}, which is not installed",
            f"pip install 'user-information-service[sink-{store}]'",
        ) from error


PROGRAM = Program(main, TRANSLATIONS)
