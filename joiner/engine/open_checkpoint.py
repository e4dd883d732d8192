"""What the loop holds between two commits of the engine, and is dropped with its checkpoint.

Knows the engine's checkpoint only as something to ask for stores.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakSet

from joiner.core.checkpoint import BYTES_PER_ROW, Checkpoint
from joiner.core.compatibility import Place
from joiner.dead_letters.letter import Letter
from joiner.engine.stores import PartitionStore
from shared.errors import BadRow


class OpenCheckpoint:
    """What belongs to one checkpoint of the engine.

    Args:
        engine: that checkpoint.
        opened: takes every store that it opens, for as long as anything holds that.
    """

    def __init__(self, engine: Any, opened: WeakSet[PartitionStore]) -> None:  # noqa: ANN401 - the engine has no types
        self.engine = engine
        self._opened = opened
        self.checkpoint = Checkpoint()
        self.letters: list[tuple[Letter, BadRow]] = []
        self.offsets: dict[Place, int] = {}
        self.ends: dict[Place, int] = {}
        self.times: list[tuple[int, bytes]] = []
        self._stores: dict[Place, PartitionStore] = {}

    def store(self, topic: str, partition: int) -> PartitionStore:
        """Return the store of a partition."""
        store = self._stores.get((topic, partition))
        if store is None:
            transaction = self.engine.get_store_transaction(stream_id=topic, partition=partition)
            store = self._stores[topic, partition] = PartitionStore(transaction)
            self._opened.add(store)
        return store

    @property
    def size(self) -> int:
        """How many rows and users it holds, dead letters included."""
        return self.checkpoint.size + sum(1 + len(letter.value or b"") // BYTES_PER_ROW for letter, _ in self.letters)


class ClosingCheckpoint(NamedTuple):
    """Work that is being committed.

    Args:
        since: when that began, on the monotonic clock.
        offsets: the last offset that it has read of each partition.
        ends: where partitions ended, as far as it has read to their ends.
        times: what it was told of how far source partitions are joined: internal partition, joiner.core.watermarks'
            words.
    """

    since: float
    offsets: Mapping[Place, int]
    ends: Mapping[Place, int]
    times: Sequence[tuple[int, bytes]]
