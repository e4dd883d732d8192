"""Shards: which partitions of `user-info` one of several readers holds, and therefore which users. Pure.

A user's partition is CRC-32 of the id, modulo the topic's partitions; the user's shard is that partition, modulo the
number of shards. So every user is in exactly one shard, and a proxy finds it without any code of ours.
"""

import re
from functools import cached_property
from typing import NamedTuple, Self

from shared.topics import partition_of

FORM = re.compile(r"(0|[1-9][0-9]{0,5})/([1-9][0-9]{0,5})")


class Shard(NamedTuple):
    """One of several shards.

    Args:
        number: which, from 0.
        of: how many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard that a text such as `0/2` names.

        Raises:
            ValueError: it names none; says what would.
        """
        found = FORM.fullmatch(text)
        if found is None or int(found[1]) >= int(found[2]):
            raise ValueError("a shard is k/n, the shard's number from 0 and how many there are, such as 0/2 or 1/2")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        """Return it as settings and answers name it."""
        return f"{self.number}/{self.of}"


class Share:
    """The part of a topic that one copy is a copy of.

    Args:
        partitions: how many the topic has.
        shard: which of them; None: all.
    """

    def __init__(self, partitions: int, shard: Shard | None = None) -> None:
        self.partitions = partitions
        self.shard = shard

    @cached_property
    def held(self) -> range:
        """The partitions that belong to it; none where there are more shards than partitions."""
        return (
            range(self.partitions) if self.shard is None else range(self.shard.number, self.partitions, self.shard.of)
        )

    def is_elsewhere(self, partition: int) -> bool:
        """Return whether a partition of the topic belongs to another share; of what is no partition, it does not."""
        return partition < self.partitions and partition not in self.held

    def find_other_shard(self, key: bytes) -> Shard | None:
        """Return the shard that a user is in; None if it is this one.

        Args:
            key: the user's id.
        """
        if self.shard is None:
            return None
        number = partition_of(key, self.partitions) % self.shard.of
        return None if number == self.shard.number else Shard(number, self.shard.of)
