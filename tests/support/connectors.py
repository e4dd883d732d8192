"""How a connector's task is made to fail without losing anything: Kafka refuses a row that is too large."""

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

LARGE_USER = 900
LARGE_ROW = f"""
INSERT INTO users (user_id, description)
SELECT {LARGE_USER}, string_agg(md5(random()::text), '') FROM generate_series(1, 1000)
"""
"""A row of some 32 kB that compresses badly."""


def set_largest_record(bootstrap_servers: str, topic: str, size: int) -> None:
    """Have a topic refuse batches over so many bytes."""
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result()


def read_largest_record(bootstrap_servers: str, topic: str) -> int:
    """Return over how many bytes a topic refuses batches."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    (answer,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    return int(answer.result()["max.message.bytes"].value)
