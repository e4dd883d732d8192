"""The files of `ops/`, which a deployment uses too: what they say is said nowhere else.

The stack overrides only where servers are: hosts, ports and paths.
"""

import json
from pathlib import Path

from stack.servers.properties_file import parse_properties

OPS = Path(__file__).parents[1] / "ops"
SCHEMA_FILE = OPS / "postgres" / "schema.sql"
CONNECTOR_FILE = OPS / "connect" / "connector.json"
WORKER_FILE = OPS / "connect" / "worker.properties"

AVRO_FILE = OPS / "connect" / "avro.properties"

TOPIC_CREATION = "topic.creation.default."


def read_connector(file: Path = CONNECTOR_FILE) -> dict[str, str]:
    """Return the configuration of the Debezium connector, or of an example's.

    Its heartbeat query makes the age of the source topics known, and moves the replication slot on while other tables
    change and these do not.
    """
    config: dict[str, str] = json.loads(file.read_text())["config"]
    return config


def read_tables(file: Path = CONNECTOR_FILE) -> tuple[str, ...]:
    """Return the tables that a connector reads, and so the topics that it writes, each named as its table is."""
    return tuple(table.removeprefix("public.") for table in read_connector(file)["table.include.list"].split(","))


def read_worker() -> dict[str, str]:
    """Return the properties of the Kafka Connect worker."""
    return parse_properties(WORKER_FILE.read_bytes())


def read_avro_converters(url: str) -> dict[str, str]:
    """Return the properties with which a worker, or a connector, writes Avro.

    Args:
        url: where the converter finds the schema registry.
    """
    properties = parse_properties(AVRO_FILE.read_bytes())
    return {name: url if name.endswith(".registry.url") else value for name, value in properties.items()}


def read_source_topic() -> dict[str, str]:
    """Return the configuration that the connector creates source topics with; how many partitions is not part of it."""
    created = {
        name.removeprefix(TOPIC_CREATION): value
        for name, value in read_connector().items()
        if name.startswith(TOPIC_CREATION)
    }
    return {name: value for name, value in created.items() if name not in {"partitions", "replication.factor"}}
