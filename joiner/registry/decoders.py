"""Makes what reads Avro, where the settings name a schema registry."""

from typing import TYPE_CHECKING

from shared.schema_registry import SchemaRegistrySettings

if TYPE_CHECKING:
    from joiner.core.avro import AvroDecoder

QUIET_LOGGERS = {"httpx": "WARNING"}
"""It logs each request."""


def open_decoder(settings: SchemaRegistrySettings, patience_seconds: float = 0) -> "AvroDecoder | None":
    """Return what reads Avro; None without a registry.

    Args:
        settings: where it is.
        patience_seconds: how long a schema that it does not know is asked for again; commands ask once.

    Raises:
        SettingError: the file of certificates cannot be used.
    """
    if settings.schema_registry_url is None:
        return None
    # Imported late: they take a quarter of a second, which those who read JSON need not wait for.
    from joiner.core.avro import AvroDecoder  # noqa: PLC0415
    from joiner.registry.client import SchemaRegistry  # noqa: PLC0415

    return AvroDecoder(SchemaRegistry(settings, patience_seconds))
