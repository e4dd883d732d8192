"""What the topics promise: policies, sizes, partitioning. Knows no client library.

The sizes are one sum, from the record that a client is served back to the row's source. tests/unit/test_sizes.py
compares every place that repeats a term of it: the topics, the clients, `ops/`, `compose.yaml` and the stack.

    MAX_RECORD_BYTES          a record's value; a row whose profile needs more is a dead letter
    + 256 KiB                 its key, headers and framing, here as in changelog and internal topic
    = MAX_MESSAGE_BYTES       what topics and clients of the service accept at least
    × 2                       REPLICA IDENTITY FULL sends a changed row before and after in one message
    = SOURCE_MESSAGE_BYTES    what source topics, the connector's producer and the brokers accept at least

Both margins together, 512 KiB, leave room for a row's names of columns and its columns that are not read, for
Debezium's `source`, and for a schema beside the row. Fetch sizes are no terms of the sum: a broker returns the first
batch whole, however large (KIP-74). Whatever a source can insert and a client is served can be changed and deleted.
"""

import zlib
from dataclasses import dataclass, field

MAX_RECORD_BYTES = 4 * 1024 * 1024
"""The largest record that passes through the service: a profile with a description of 1 MiB fits easily."""

MAX_MESSAGE_BYTES = MAX_RECORD_BYTES + 256 * 1024
"""The largest message that topics and clients accept: the largest record, its key, its headers and the framing."""

SOURCE_MESSAGE_BYTES = 2 * MAX_MESSAGE_BYTES
"""The largest message that a source topic accepts: a row before and after its change."""

MIN_MESSAGE_BYTES = 1_000_000
"""What a topic of small records accepts at least: clients join small ones into batches of up to 1,000,000 bytes."""

ANY_TIME_MS = 2**63 - 1
"""How far a record's time may lie from the broker's clock: as far as it does. Kafka's largest number."""

PARTITIONER = "consistent"
"""librdkafka's name for CRC-32 of the key: routers can compute a user's partition with zlib or HAProxy's `crc32`."""

HEARTBEATS_RETENTION_MS = 60 * 60 * 1000
"""Only the newest heartbeat counts; an hour of them helps to look into a delay."""

DEAD_LETTERS_RETENTION_MS = 14 * 24 * 60 * 60 * 1000
"""Two weeks: enough time to notice dead letters, correct their source and replay them."""

_SIZE = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}

CREATION_CONFIG = {
    **_SIZE,
    "message.timestamp.type": "CreateTime",
    "message.timestamp.before.max.ms": str(ANY_TIME_MS),
    "message.timestamp.after.max.ms": str(ANY_TIME_MS),
}
"""What every topic is created with besides its own properties, so that no broker's default refuses a record later."""

CHANGELOG_CONFIG = {"cleanup.policy": "compact", **_SIZE}
"""A changelog is compacted: it keeps one record for each key of its store."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic that the service creates where it is missing.

    Args:
        name: as set for this deployment.
        partitions: how many it is created with.
        config: broker-side properties that it is created with.
    """

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


def user_info_spec(name: str, partitions: int) -> TopicSpec:
    """Return the topic of served records: compacted, one record per user, keyed by user id."""
    return TopicSpec(name, partitions, {"cleanup.policy": "compact", **_SIZE})


def user_info_changes_spec(name: str, partitions: int) -> TopicSpec:
    """Return the joiner's internal topic: kept until consumed, never compacted, because each record is a difference."""
    return TopicSpec(
        name, partitions, {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", **_SIZE}
    )


def changelog_spec(name: str, partitions: int) -> TopicSpec:
    """Return the changelog of a store."""
    return TopicSpec(name, partitions, CHANGELOG_CONFIG)


def ledger_spec(name: str) -> TopicSpec:
    """Return the ledger, where a group of joiners notes what its state was built from: few keys, one partition."""
    # Short segments: compaction skips the newest one, and every start reads the whole topic.
    return TopicSpec(name, 1, {"cleanup.policy": "compact", "segment.ms": "3600000"})


def dead_letters_spec(name: str) -> TopicSpec:
    """Return the topic of dead letters: source records that no row could be read from."""
    return TopicSpec(name, 1, {"cleanup.policy": "delete", "retention.ms": str(DEAD_LETTERS_RETENTION_MS), **_SIZE})


def heartbeats_spec(name: str) -> TopicSpec:
    """Return the topic of heartbeats, for a joiner that writes them itself because no table does."""
    return TopicSpec(name, 1, {"cleanup.policy": "delete", "retention.ms": str(HEARTBEATS_RETENTION_MS), **_SIZE})


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that the `consistent` partitioner chooses for a key."""
    return zlib.crc32(key) % partitions
