"""What the topics promise: policies, sizes, partitioning. Knows no client library."""

import zlib
from dataclasses import dataclass, field

MAX_RECORD_BYTES = 4 * 1024 * 1024
"""The largest record that passes through the service: a profile with a description of 1 MiB fits easily."""

MAX_MESSAGE_BYTES = MAX_RECORD_BYTES + 256 * 1024
"""The largest message that topics and clients accept: the largest record, its key, its headers and the framing."""

PARTITIONER = "consistent"
"""librdkafka's name for CRC-32 of the key: routers can compute a user's partition with zlib or HAProxy's `crc32`."""

HEARTBEATS_RETENTION_MS = 60 * 60 * 1000
"""Only the newest heartbeat counts; an hour of them helps to look into a delay."""

DEAD_LETTERS_RETENTION_MS = 14 * 24 * 60 * 60 * 1000
"""Two weeks: enough time to notice dead letters, correct their source and replay them."""

_SIZE = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}

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
