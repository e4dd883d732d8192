"""Records as the engine hands them to a checkpoint and gets them back. Knows no client library."""

from typing import NamedTuple, TypeAlias

PartitionId: TypeAlias = tuple[str, int]
"""The name of a topic, and the number of one of its partitions."""


class SourceRecord(NamedTuple):
    """One record of a source topic.

    Args:
        key: as received.
        value: as received; None deletes the row.
        time_ms: the record's timestamp, used if its value does not give the source's time.
        now_ms: the wall clock; no change counts as newer, since brokers refuse records from the future.
        is_news: False for records that were waiting when their topic was first read: their wait is not the joiner's.
    """

    key: bytes | None
    value: bytes | None
    time_ms: int
    now_ms: int
    is_news: bool = True


class OutputRecord(NamedTuple):
    """One user-info record to write; with value None a tombstone: there is no such user.

    Args:
        key: the user's id.
        value: the record's bytes.
        newest_ms: source time of the newest change in it.
        oldest_ms: source time of the oldest change that it shows for the first time; None if that time is not known,
            or if it shows nothing new.
    """

    key: bytes
    value: bytes | None
    newest_ms: int
    oldest_ms: int | None
