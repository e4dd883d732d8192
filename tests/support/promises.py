"""What each folder that ships may import: the table that tests and documents are held to."""

from typing import NamedTuple


class Promise(NamedTuple):
    """What a folder may import besides the standard library and itself.

    Args:
        libraries: names, blanks between.
        knows: our folders, blanks between; a folder's name covers what is directly in it.
        is_pure: no input, no output, no clock, no thread: values in, values out.
    """

    libraries: str = ""
    knows: str = "shared"
    is_pure: bool = False


PROMISES = {
    "shared": Promise("click pydantic pydantic_settings", knows="shared/view"),
    "shared/view": Promise(),
    "joiner": Promise(
        "click confluent_kafka prometheus_client pydantic",
        "joiner/background joiner/core joiner/dead_letters joiner/engine joiner/kafka joiner/queries joiner/registry"
        " shared shared/view",
    ),
    "joiner/core": Promise("fastavro orjson", "shared shared/view", is_pure=True),
    "joiner/kafka": Promise("confluent_kafka", "joiner joiner/core shared shared/view"),
    "joiner/registry": Promise("httpx", "joiner/core shared"),
    "joiner/background": Promise("confluent_kafka", "joiner joiner/core joiner/kafka shared"),
    "joiner/dead_letters": Promise("click confluent_kafka", "joiner joiner/core joiner/kafka joiner/registry shared"),
    "joiner/engine": Promise(
        "confluent_kafka orjson quixstreams rocksdict",
        "joiner joiner/background joiner/core joiner/dead_letters joiner/kafka joiner/queries shared",
    ),
    "joiner/queries": Promise("confluent_kafka", "joiner joiner/core joiner/kafka shared"),
    "reader": Promise(
        "click pydantic",
        "reader/admin reader/http reader/replication reader/status reader/storage reader/workers"
        " replication replication/kafka shared",
    ),
    "reader/admin": Promise("click", "reader reader/replication reader/storage replication replication/kafka shared"),
    "reader/http": Promise(
        "httptools starlette uvicorn uvloop", "reader reader/status reader/storage replication shared"
    ),
    "reader/replication": Promise("", "reader reader/status reader/storage replication replication/kafka shared"),
    "reader/status": Promise("prometheus_client", "replication shared"),
    "reader/storage": Promise("lmdb", "replication shared"),
    "reader/workers": Promise("", "reader reader/http reader/status reader/storage replication shared"),
    "replication": Promise(),
    "replication/kafka": Promise("confluent_kafka", "replication shared"),
    "poller": Promise("click confluent_kafka prometheus_client psycopg pydantic", "joiner/kafka shared shared/view"),
    "sink": Promise(
        "click prometheus_client pydantic", "replication replication/kafka shared sink/postgres sink/redis"
    ),
    "sink/postgres": Promise("psycopg", "replication shared shared/view sink"),
    "sink/redis": Promise("redis", "replication shared sink"),
    "doctor": Promise("click confluent_kafka httpx pydantic", "joiner/core joiner/kafka joiner/registry shared"),
}
"""Folder -> what it may import; every folder that ships is here."""
