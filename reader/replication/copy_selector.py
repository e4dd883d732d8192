"""Which copy to replicate the topic into: the live one, or one built next to it; and when that becomes the live one."""

import logging
import time

from reader.storage.generations import Generations
from reader.storage.metadata import read_topic
from reader.storage.read_view import RunBetweenReads
from reader.storage.store import Store
from replication.compatibility import CopyDecision, CopyIdentity, decide
from shared.clock import to_epoch_ms
from shared.shards import Shard

logger = logging.getLogger(__name__)


class CopySelector:
    """Selects among the copies on disk. Everything here belongs to the replicator thread.

    Args:
        generations: the copies.
        run_between_reads: returns after every read of the copy that was live before.

    Attributes:
        damage: why the live copy cannot be written any more; None while it can.
    """

    def __init__(self, generations: Generations, run_between_reads: RunBetweenReads) -> None:
        self.damage: str | None = None
        self._generations = generations
        self._run_between_reads = run_between_reads

    def is_live(self, store: Store) -> bool:
        """Return whether a copy is the one that is served."""
        return store is self._generations.live

    @property
    def live_is_complete(self) -> bool:
        """Whether the live copy once held all that its topic had."""
        return self._generations.live.complete

    def live_is_of(self, shard: Shard | None) -> bool:
        """Return whether the live copy is one of a shard; None: of all users."""
        live = read_topic(self._generations.live.note("identity"))
        return live is None or live.share.shard == shard

    def assess_live_copy(self, identity: CopyIdentity, tombstone_retention_ms: int) -> CopyDecision:
        """Decide whether to continue with the live copy.

        Args:
            identity: the topic's, now.
            tombstone_retention_ms: how long the topic keeps tombstones.
        """
        live = self._generations.live
        decision = decide(live.note("identity"), identity, _ms_since_complete(live), tombstone_retention_ms)
        if decision.action == "continue" and self.damage is not None:
            return CopyDecision("rebuild", self.damage)
        return decision

    def open(self, decision: CopyDecision, identity: CopyIdentity, tombstone_retention_ms: int) -> Store:
        """Return the live copy, or, if it has to be rebuilt, one next to it.

        Args:
            decision: on the live copy.
            identity: the topic's, now.
            tombstone_retention_ms: how long the topic keeps tombstones.
        """

        def can_continue(copy: Store) -> bool:
            return copy.note("identity") == identity.to_note() and _ms_since_complete(copy) <= tombstone_retention_ms

        store = self._generations.live if decision.action == "continue" else self._generations.open_next(can_continue)
        if store.note("identity") is None:
            store.write_notes(identity=identity.to_note(), begun=to_epoch_ms(time.monotonic()))
        return store

    def discard_snapshot(self, reason: str | None) -> bool:
        """Replace the live copy by an empty one if it is a snapshot that no topic has confirmed yet.

        Args:
            reason: why the topic does not confirm it, as a message.

        Returns:
            Whether it was one.
        """
        snapshot = self._generations.live.note("snapshot")
        if snapshot is None:
            return False
        logger.warning("the snapshot %s is refused: %s; the topic is replayed instead", snapshot, reason)
        self._replace_live(self._generations.open_next(lambda _: False))
        return True

    def make_live(self, store: Store) -> None:
        """Serve a copy that has caught up."""
        if not self.is_live(store):
            self._replace_live(store)
            self.damage = None

    def _replace_live(self, store: Store) -> None:
        old = self._generations.swap(store)
        # After this no thread reads the old copy. It is deleted here, since that may keep the disk busy for a while.
        self._run_between_reads(lambda: None)
        Generations.drop(old)


def _ms_since_complete(store: Store) -> int:
    """Return how long ago a copy was last known to be complete, or was begun."""
    since = max(store.note("complete") or 0, store.note("begun") or 0)
    return to_epoch_ms(time.monotonic()) - since if since else 0
