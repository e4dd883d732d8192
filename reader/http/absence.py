"""Up to which record of the topic it is true that a user does not exist. Pure.

A record carries its offset. An absent user has no record; but the topic is partitioned by CRC-32 of the key, so it is
known where the user's records would be, and how far that partition has been applied.
"""

from typing import NamedTuple

from reader.storage.read_view import ReadView
from shared.topics import partition_of


class Absence(NamedTuple):
    """The last offset applied of the partition in which a user's records would be.

    Args:
        partition: of the topic.
        offset: in that partition; a later record may be the user's.
    """

    partition: int
    offset: int


def find_absence(view: ReadView, key: bytes) -> Absence | None:
    """Return up to where it is true that a user is absent; None where nothing was applied of that partition.

    Nothing is said then, and nothing need be: no reader can hold less. Nor is anything said of a topic with keys that
    another partitioner has placed.

    Args:
        view: which has no record of the user.
        key: the user's.
    """
    partitions = view.partitions
    if partitions is None:
        return None
    partition = partition_of(key, partitions)
    position = view.position(partition)
    return Absence(partition, position - 1) if position else None
