"""Holds the open checkpoint, and the one that is being committed.

Everything that was read belongs to one checkpoint of Quix, whose transaction commits it, and is dropped with it. Knows
nothing of how records are read or written.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from quixstreams.checkpointing import Checkpoint as QuixCheckpoint
from quixstreams.processing import ProcessingContext

from joiner.core.build import PartBuild
from joiner.core.chain import Life, Link, name_source_chain
from joiner.core.checkpoint import BYTES_PER_ROW, Checkpoint
from joiner.core.key_forms import KeyForms
from joiner.core.partition_work import Store
from joiner.core.records import PartitionId
from joiner.dead_letters.letter import UnreadableRecord
from joiner.engine.quix_internals import state_offset
from joiner.engine.stores import OpenStores, PartitionStore
from shared.clock import Moment
from shared.errors import BadRow, Interrupted


class OpenCheckpoint:
    """What was read since the last commit. Filled by the loop's thread; the thread that closes it has it to itself.

    Args:
        quix: the checkpoint of Quix that commits it.
        opened: receives every store that it opens.
        checkpoint: an empty one, which decides what is committed.
        life: numbers its packs.
        ends: internal partition -> its end when it was assigned; others may have shown what comes before that.
    """

    def __init__(
        self,
        quix: QuixCheckpoint,
        opened: OpenStores,
        checkpoint: Checkpoint,
        life: Life,
        ends: Mapping[PartitionId, int],
    ) -> None:
        self.quix = quix
        self._life = life
        self._ends = ends
        self._opened = opened
        self.checkpoint = checkpoint
        self.letters: list[tuple[UnreadableRecord, BadRow]] = []
        self.offsets: dict[PartitionId, int] = {}
        self.ends: dict[PartitionId, int] = {}
        self.watermarks: list[tuple[int, bytes]] = []
        self.marks_due: set[int] = set()
        """Parts that say how far their build is, though nothing of it may have changed."""
        self._held: set[int] = set()
        self._stores: dict[PartitionId, PartitionStore] = {}

    def store(self, topic: str, partition: int) -> PartitionStore:
        """Return the store of a partition."""
        store = self._stores.get((topic, partition))
        if store is None:
            transaction = self.quix.get_store_transaction(stream_id=topic, partition=partition)
            store = self._stores[topic, partition] = PartitionStore(transaction)
            self._opened.add(store)
            if (topic, partition) in self._ends:
                self.checkpoint.write_again(store, self._ends[topic, partition])
        return store

    def hold_part(self, topic: str, part: int, next_offset: int) -> None:
        """Have it carry a part's build on, though no record of the part may come.

        Args:
            topic: the internal one.
            part: its partition.
            next_offset: the next offset to read, as committed.
        """
        if part not in self._held:
            self._held.add(part)
            self.checkpoint.hold_part(self.store(topic, part))
            self.state_position(topic, part, next_offset)

    def state_position(self, topic: str, partition: int, next_offset: int) -> None:
        """Have it committed, by which Kafka confirms that the partition is this process's, though no record may come.

        Args:
            topic: the partition's.
            partition: its number.
            next_offset: the next offset to read, as committed.
        """
        state_offset(self.quix, topic, partition, next_offset)

    def note_offsets(self, offsets: Mapping[PartitionId, int]) -> None:
        """Note the last offset that was read of partitions; they are committed with the checkpoint."""
        for (topic, partition), offset in offsets.items():
            self.quix.store_offset(topic=topic, partition=partition, offset=offset)
        self.offsets.update(offsets)

    def link_pack(self, target: int, partitions: int) -> list[Link]:
        """Return the places of its next pack in the chains that lead to an internal partition.

        Args:
            target: that partition.
            partitions: how many there are.
        """
        chains: dict[Store, str] = {store: name_source_chain(*source) for source, store in self._stores.items()}
        return [*self.checkpoint.link_pack(target, partitions, chains), self._life.count_pack(target)]

    def find_builds(self) -> dict[int, PartBuild]:
        """Return how far the build of each part in it is, once its records are rendered."""
        parts: dict[Store, int] = {store: part for (_, part), store in self._stores.items()}
        return {parts[store]: build for store, build in self.checkpoint.builds()}

    @property
    def size(self) -> int:
        """How many rows and users it holds, dead letters included."""
        return self.checkpoint.size + sum(1 + len(letter.value or b"") // BYTES_PER_ROW for letter, _ in self.letters)


class ClosingCheckpoint(NamedTuple):
    """A checkpoint that is being committed.

    Args:
        since: when that began.
        offsets: the last offset that it has read of each partition.
        ends: where partitions end, of those that it has read to their ends.
        watermarks: internal partition -> how far source partitions are joined, as joiner.core.watermarks encodes it.
        builds: internal partition -> how far its build is; filled while it is written.
    """

    since: Moment
    offsets: Mapping[PartitionId, int]
    ends: Mapping[PartitionId, int]
    watermarks: Sequence[tuple[int, bytes]]
    builds: dict[int, PartBuild]


class Checkpoints:
    """Holds the open checkpoint, and the one whose commit is not confirmed yet.

    The loop's thread opens, confirms and drops them. `begin_closing` and `require_open` are called where Quix writes a
    checkpoint: in the loop's thread, or, in a rebalance, in one that Quix starts and waits for. If it takes too long,
    Quix leaves that thread behind, and the loop continues with another checkpoint; `require_open` then ends the thread
    at its next record. Each field is one reference, so a reader sees the old one or the new one.

    Args:
        processing: Quix's, which says what checkpoint is open.
        opened: receives every store that is opened.
        refuse_commits: stops Quix from committing anything more.
        key_forms: what the keys of rows must be like to be taken into a checkpoint.
        begin: makes an empty checkpoint, for the group's view and build.
        joiner: names this joiner.
    """

    def __init__(  # noqa: PLR0913 - what a checkpoint is made of
        self,
        processing: ProcessingContext,
        opened: OpenStores,
        refuse_commits: Callable[[], None],
        key_forms: KeyForms,
        begin: Callable[[], Checkpoint],
        *,
        joiner: str,
    ) -> None:
        self.key_forms = key_forms
        self._processing = processing
        self._begin = begin
        self._opened = opened
        self._refuse_commits = refuse_commits
        self.open: OpenCheckpoint | None = None
        """None if nothing was read since the last commit."""
        self.ends: Mapping[PartitionId, int] = {}
        """Internal partition -> its end when it was assigned."""
        self._closing: ClosingCheckpoint | None = None
        self._joiner = joiner
        self._life = self._begin_life()

    def _begin_life(self) -> Life:
        return Life(self._joiner, uuid.uuid4().hex[:12])

    def current(self) -> OpenCheckpoint:
        """Return the open checkpoint, or a new one where Quix has begun another since."""
        quix = self._processing.checkpoint
        if self.open is None or self.open.quix is not quix:
            self.open = OpenCheckpoint(quix, self._opened, self._begin(), self._life, self.ends)
        return self.open

    def begin_closing(self) -> OpenCheckpoint | None:
        """Return the open checkpoint for its records to be written; None if it is not the one that Quix commits."""
        closing, self.open = self.open, None
        if closing is None or closing.quix is not self._processing.checkpoint:
            return None
        self._closing = ClosingCheckpoint(Moment.now(), closing.offsets, closing.ends, closing.watermarks, {})
        return closing

    def note_builds(self, builds: Mapping[int, PartBuild]) -> None:
        """Note how far the builds of parts are with the checkpoint that is closing."""
        if self._closing is not None:
            self._closing.builds.update(builds)

    def require_open(self, closing: OpenCheckpoint) -> None:
        """Make sure that what is written belongs to the transaction that is open.

        Raises:
            Interrupted: Quix has left this thread behind.
        """
        if closing.quix is not self._processing.checkpoint:
            self._refuse_commits()
            raise Interrupted("closing a checkpoint took longer than a rebalance may")

    def take_committed(self) -> ClosingCheckpoint | None:
        """Return the checkpoint that was committed since this was last called."""
        committed, self._closing = self._closing, None
        return committed

    def forget_closing(self) -> None:
        """Forget the checkpoint that is closing: Quix does not say whether a commit in a rebalance succeeded."""
        self._closing = None
        # If it did not, the numbers that its packs had will never come.
        self._life = self._begin_life()

    def drop(self) -> None:
        """Drop what is not committed, and with it everything that it refers to."""
        self.open = None
