"""The reader's store against a plain dict: after any history it is the topic's prefix that its offsets claim."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reader.storage.errors import MapFullError
from reader.storage.generations import Generations
from reader.storage.store import Store
from replication.records import Record
from shared.topics import partition_of

PARTITIONS = 3
TINY_MAP_BYTES = 64 * 1024
"""Room for a few records, so that the map has to grow."""

keys = st.sampled_from([b"alice", b"bob", "zoë".encode(), b"x" * 511, b"0", b"1", b"2", b"3"])
values = st.one_of(st.none(), st.binary(max_size=40), st.integers(1, 40_000).map(lambda size: b"v" * size))
writing = st.lists(st.tuples(keys, values), min_size=1, max_size=12)
amounts = st.lists(st.integers(0, 6), min_size=PARTITIONS, max_size=PARTITIONS)


class Topic:
    """A topic as a reader meets it: logs whose offsets have gaps, as markers and compaction leave them."""

    def __init__(self) -> None:
        self.logs: list[list[Record]] = [[] for _ in range(PARTITIONS)]

    def write(self, key: bytes, value: bytes | None) -> None:
        """Append a record where its key belongs."""
        partition = partition_of(key, PARTITIONS)
        log = self.logs[partition]
        offset = log[-1].offset + 1 + len(log) % 3 if log else 0
        log.append(Record(key, value, partition, offset, 1_700_000_000_000 + offset))

    def batch(self, offsets: dict[int, int], amounts: list[int]) -> tuple[list[Record], dict[int, int]]:
        """Return the next records after some offsets, and the offsets to continue from after them."""
        records: list[Record] = []
        following = dict(offsets)
        for partition, amount in enumerate(amounts):
            taken = [record for record in self.logs[partition] if record.offset >= offsets.get(partition, 0)][:amount]
            records += taken
            if taken:
                following[partition] = taken[-1].offset + 1
        return records, following

    def prefix(self, offsets: dict[int, int]) -> dict[bytes, Record]:
        """Return what a store with these offsets must hold, key -> record."""
        held: dict[bytes, Record] = {}
        for partition, log in enumerate(self.logs):
            for record in log:
                if record.offset >= offsets.get(partition, 0):
                    break
                if record.value is None:
                    held.pop(record.key, None)
                else:
                    held[record.key] = record
        return held


class Deadly:
    """A number that kills the process which writes it: in the middle of a transaction, as a power cut would."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __hash__(self) -> int:
        return hash(self._number)

    def __eq__(self, other: object) -> bool:
        return self._number == other

    def __gt__(self, other: int) -> bool:
        return bool(self.__index__())

    def __index__(self) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return self._number


def apply_batch(store: Store, records: Iterable[Record], offsets: dict[int, int]) -> None:
    """Apply a batch as the reader does: with a larger map where it does not fit."""
    batch = list(records)
    while True:
        try:
            store.apply(batch, offsets)
        except MapFullError:
            store.grow()
        else:
            return


def die_applying(folder: Path, topic: Topic, batches: list[list[int]], among: str) -> None:
    """Be a reader that applies some batches and is killed in the middle of another; this never returns."""
    try:
        store = Generations(folder, TINY_MAP_BYTES).live
        for amounts in batches:
            apply_batch(store, *topic.batch(store.offsets(), amounts))
        offset = store.offsets().get(0, 0)
        batch = [Record(key, b"torn", 0, offset, 0) for key in (b"alice", b"bob", b"torn")]
        if among == "records":
            apply_batch(store, [*batch, Record(b"\x7f", b"", cast("int", Deadly(0)), offset, 0)], {0: offset + 1})
        else:
            apply_batch(store, batch, {0: cast("int", Deadly(offset + 1))})
    finally:
        os._exit(1)


class StoreMachine(RuleBasedStateMachine):
    """One reader's folder through its life: batches, replays, crashes, rebuilt copies."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="store-"))
        self.topic = Topic()
        self.generations: Generations | None = None

    @initialize()
    def open(self) -> None:
        """Start the reader."""
        self.generations = Generations(self.folder, TINY_MAP_BYTES)

    @property
    def live(self) -> Store:
        """The copy that is served."""
        assert self.generations is not None
        return self.generations.live

    @rule(written=writing)
    def write(self, written: list[tuple[bytes, bytes | None]]) -> None:
        """Have the joiner write records and deletions."""
        for key, value in written:
            self.topic.write(key, value)

    @rule(amounts=amounts)
    def apply(self, amounts: list[int]) -> None:
        """Continue from the offsets."""
        apply_batch(self.live, *self.topic.batch(self.live.offsets(), amounts))

    @rule(back=amounts, amounts=amounts)
    def replay(self, back: list[int], amounts: list[int]) -> None:
        """Deliver records again, from before the offsets, and perhaps end there too: nothing goes back in time."""
        offsets = self.live.offsets()
        earlier = {partition: max(0, offset - back[partition]) for partition, offset in offsets.items()}
        apply_batch(self.live, *self.topic.batch(earlier, amounts))
        assert all(self.live.offsets()[partition] >= offset for partition, offset in offsets.items())

    @rule()
    def reopen(self) -> None:
        """Stop and start the reader."""
        assert self.generations is not None
        self.generations.close()
        self.open()

    @rule(batches=st.lists(amounts, max_size=3), among=st.sampled_from(["records", "offsets"]))
    def crash(self, batches: list[list[int]], among: str) -> None:
        """Kill a reader while it writes a batch: those before it are whole, of this one there is nothing."""
        assert self.generations is not None
        expected = self.live.offsets()
        self.generations.close()
        child = os.fork()
        if child == 0:
            die_applying(self.folder, self.topic, batches, among)
        assert -signal.SIGKILL == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for amounts in batches:
            expected = self.topic.batch(expected, amounts)[1]
        self.open()
        assert expected == self.live.offsets()

    @rule(amounts=amounts, written=writing, recreated=st.booleans(), ends=st.sampled_from(["swap", "crash", "give up"]))
    def rebuild(
        self, amounts: list[int], written: list[tuple[bytes, bytes | None]], recreated: bool, ends: str
    ) -> None:
        """Build a copy next to the live one: it takes over whole, or leaves no trace."""
        assert self.generations is not None
        topic = Topic() if recreated else self.topic
        for key, value in written:
            topic.write(key, value)
        built = self.generations.open_next(lambda _: False)
        assert 0 == built.count()
        apply_batch(built, *topic.batch({}, amounts))
        apply_batch(built, *topic.batch(built.offsets(), amounts))
        if ends == "swap":
            Generations.drop(self.generations.swap(built))
            self.topic = topic
        else:
            built.close()
            if ends == "crash":
                self.reopen()

    @invariant()
    def holds_what_its_offsets_claim(self) -> None:
        """Hold every record up to the offsets, none after them, each with its place in the topic."""
        if self.generations is None:
            return
        expected = self.topic.prefix(self.live.offsets())
        assert {key: record.value for key, record in expected.items()} == self.live.items()
        assert len(expected) == self.live.count()
        for key in (b"alice", b"1", b"nobody"):
            assert expected.get(key) == self.live.record(key)
            assert (expected[key].value if key in expected else None) == self.live.body(key)

    def teardown(self) -> None:
        """Leave nothing behind."""
        if self.generations is not None:
            self.generations.close()
        shutil.rmtree(self.folder)


TestStore: Any = StoreMachine.TestCase
# A quarter of what other properties get: each example writes to a disk and starts processes.
TestStore.settings = settings(max_examples=settings().max_examples // 4, stateful_step_count=25)
