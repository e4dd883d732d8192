"""Joiners over a small Kafka: the joiner's pure functions, called in the order in which the engine calls them."""

from collections.abc import Iterator, Mapping

from joiner.core.chain import Life, name_source_chain
from joiner.core.checkpoint import CHANGES_KEY, Checkpoint
from joiner.core.epochs import EpochGuard
from joiner.core.partition_work import Store
from joiner.core.records import SourceRecord
from tests.support.built_in import LIKES, PLAN, USERS
from tests.support.cluster import DictStore
from tests.support.small_kafka import BrokenOff, Entry, SmallKafka

PARTS = 2
SOURCES = ("likes/0", "likes/1", "users/0")
CHANGES = tuple(f"changes/{part}" for part in range(PARTS))
STORED = ("likes/0", "likes/1", *CHANGES)
LOGS = (*SOURCES, *CHANGES)
NEVER = -1
EVERYTHING = 10**6


class LocalStore(DictStore):
    """A store on disk, restored from its changelog; what a checkpoint sets waits for the commit.

    Args:
        changelog: the changelog's entries.
    """

    def __init__(self, changelog: list[Entry | None]) -> None:
        """Hold nothing yet."""
        super().__init__()
        self._changelog = changelog
        self._restored = 0
        self.pending: dict[bytes, bytes | None] = {}

    def set(self, key: bytes, value: bytes | None) -> None:
        """Store a value when the checkpoint commits."""
        self.pending[key] = value

    def writes(self) -> Iterator[Entry]:
        """Yield what the changelog is sent, in the order of joiner.engine.stores: deletions before the last value."""
        values = [Entry(key, value) for key, value in self.pending.items() if value is not None]
        yield from values[:-1]
        yield from (Entry(key, None) for key, value in self.pending.items() if value is None)
        yield from values[-1:]

    def restore(self) -> None:
        """Take over what is committed in the changelog, and nothing that was not."""
        self.pending = {}
        for entry in self._changelog[self._restored :]:
            if entry is not None and entry.fate == "committed":
                super().set(entry.key, entry.value)
        self._restored = len(self._changelog)

    def commit(self) -> None:
        """Take over what the checkpoint has set."""
        for key, value in self.pending.items():
            super().set(key, value)
        self.pending = {}
        self._restored = len(self._changelog)


class Joiner:
    """One joiner process.

    Args:
        kafka: all brokers.
        name: of its producer.
        has_guard: False: it takes no notice of what may be late.
    """

    def __init__(self, kafka: SmallKafka, name: str, *, has_guard: bool) -> None:
        """Own nothing yet."""
        self._kafka = kafka
        self._name = name
        self._has_guard = has_guard
        self._lives = 0
        self._stores: dict[str, LocalStore] = {}
        self._owned: tuple[str, ...] = ()
        self.is_dead = False
        self.start(())

    def start(self, owned: tuple[str, ...]) -> None:
        """Begin with a producer of its own: after a crash, or where Kafka has broken something off."""
        self._epoch, self._guard = self._kafka.init(self._name), EpochGuard()
        self.is_dead = False
        self.assign(owned)

    def restart(self) -> None:
        """Begin again with what it owns."""
        self.start(self._owned)

    def assign(self, owned: tuple[str, ...]) -> None:
        """Own these partitions; stores of others are deleted."""
        self._owned = owned
        self._again = {log: len(self._kafka.logs[log]) for log in owned if log in CHANGES}
        self._stores = {
            log: self._stores.get(log) or LocalStore(self._kafka.logs[f"changelog {log}"])
            for log in owned
            if log in STORED
        }
        for store in self._stores.values():
            store.restore()
        self._begin_life()

    def _begin_life(self) -> None:
        self._lives += 1
        self._life = Life(self._name, f"{self._lives}")

    def run(self, most: int = EVERYTHING, fate: str = "commits", late_at: int = NEVER) -> bool:
        """Run a checkpoint, and return whether it had anything to do.

        Args:
            most: how many records it reads of each partition.
            fate: how it ends.
            late_at: before which of its records a late request arrives; where it crashes, also what it has sent then.
        """
        checkpoint, reached = Checkpoint(PLAN), self._read(most)
        if not reached:
            return False
        offsets = self._take(checkpoint, reached)
        writes = list(self._write(checkpoint))
        if fate == "crashes":
            writes, self.is_dead = writes[: max(late_at, 0)], True
        try:
            self._send(writes, late_at)
        except BrokenOff:
            self.restart()
            return True
        if self.is_dead:
            return True
        self._end(offsets, fate)
        return True

    def _read(self, most: int) -> dict[str, list[tuple[int, Entry]]]:
        read = {log: list(self._kafka.read(log, most)) for log in self._owned}
        return {log: entries for log, entries in read.items() if entries}

    def _take(self, checkpoint: Checkpoint, read: Mapping[str, list[tuple[int, Entry]]]) -> dict[str, int]:
        for log, entries in read.items():
            if log in self._again:
                checkpoint.write_again(self._stores[log], self._again[log])
            for offset, entry in entries:
                if log in CHANGES:
                    checkpoint.take_changes(self._stores[log], offset, entry.value or b"", entry.links, log)
                else:
                    table = USERS if log == "users/0" else LIKES
                    checkpoint.take_row(table, self._stores.get(log), SourceRecord(entry.key, entry.value, 1, 1))
        return {log: entries[-1][0] + 1 for log, entries in read.items()}

    def _write(self, checkpoint: Checkpoint) -> Iterator[tuple[str, Entry]]:
        """Yield all records of a checkpoint, in the order of joiner.engine.outputs."""
        chains: dict[Store, str] = {store: name_source_chain(log, 0) for log, store in self._stores.items()}
        for part, pack in checkpoint.pack_changes(PARTS):
            links = [*checkpoint.link_pack(part, PARTS, chains), self._life.count_pack(part)]
            yield CHANGES[part], Entry(CHANGES_KEY, pack, links)
        for record in checkpoint.render_records():
            yield "user-info", Entry(record.key, record.value)
        checkpoint.save()
        for log, store in self._stores.items():
            for entry in store.writes():
                yield f"changelog {log}", entry

    def _send(self, writes: list[tuple[str, Entry]], late_at: int) -> None:
        if writes:
            self._kafka.begin(self._name)
        for number, (log, entry) in enumerate(writes):
            if number == late_at:
                self._kafka.deliver_late()
            self._kafka.send(self._name, log, entry)

    def _end(self, offsets: Mapping[str, int], fate: str) -> None:
        """End the transaction: its end may be repeated, fail after it has arrived, or be an abort."""
        commits = fate != "aborts"
        self._kafka.send_offsets(self._name, offsets)
        self._guard.begin_end(0.0)
        if fate != "commits":
            self._guard.note_error(0.0)
        self._kafka.end(self._name, self._epoch, commits=commits, repeats=fate != "commits")
        self._guard.finish_end(0.0)
        if fate == "is not told":
            self.restart()
            return
        for store in self._stores.values():
            if commits:
                store.commit()
            store.pending = {}
        if not commits:
            self._begin_life()
        if self._has_guard and self._guard.needs_epoch:
            self._epoch = self._kafka.init(self._name)
            self._guard.renew()
