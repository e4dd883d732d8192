"""What joiner.engine and joiner.topology use of the engine's inside: an upgrade that changes any of it fails here.

First what must come out, tried on the engine's own RocksDB store. Then the code that the joiner replaces or leans on,
by fingerprint: where one differs, read what changed, mend the joiner, run the broker tests, and note the new one.
"""

import hashlib
import inspect
from collections.abc import Callable, Iterator
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import pytest
from quixstreams import Application
from quixstreams.checkpointing.checkpoint import BaseCheckpoint, Checkpoint
from quixstreams.internal_producer import InternalProducer
from quixstreams.kafka.consumer import BaseConsumer
from quixstreams.processing import ProcessingContext
from quixstreams.state import StateStoreManager
from quixstreams.state.base.transaction import PartitionTransaction, PartitionTransactionCache
from quixstreams.state.recovery import ChangelogProducer, RecoveryPartition
from quixstreams.state.rocksdb import RocksDBStorePartition

from joiner.engine import PartitionStore, Sender

PREFIX = b""


class Recorder:
    """Stands where the engine's producer does, at each of its three depths, and keeps what it is given."""

    def __init__(self, queue: int = 1_000) -> None:
        """Take records until the queue is full; a poll empties it."""
        self.records: list[tuple[str, bytes, bytes | None, int | None, dict[str, bytes]]] = []
        self.reported: list[int] = []
        self._room = self._queue = queue

    @property
    def _producer(self) -> "Recorder":
        return self

    def _on_delivery(self) -> None:
        """Note the offset, in the engine."""

    def produce(self, topic: str, value: bytes | None, key: bytes, **more: Any) -> None:  # noqa: ANN401
        """Take a record as librdkafka's producer and the engine's own do."""
        headers, on_delivery = more.get("headers"), more.get("on_delivery")
        if not self._room:
            raise BufferError
        self._room -= 1
        if on_delivery is not None:
            self.reported.append(len(self.records))
        texts = {name: text.encode() if isinstance(text, str) else text for name, text in dict(headers or {}).items()}
        self.records.append((topic, key, value, more.get("partition"), texts))

    def poll(self, _: float) -> None:
        """Make room."""
        self._room = self._queue


@pytest.fixture
def recorder() -> Recorder:
    """Give what takes the changelog's records."""
    return Recorder()


@pytest.fixture
def partition(tmp_path: Path, recorder: Any) -> Iterator[Any]:  # noqa: ANN401 - the engine's types are not met
    """Give a partition of the engine's own store, with a changelog."""
    changelog = ChangelogProducer("changelog", 3, recorder)
    opened: Any = RocksDBStorePartition(str(tmp_path / "store"), changelog_producer=changelog)
    yield opened
    opened.close()


def commit(transaction: Any, offset: int) -> None:  # noqa: ANN401 - the inside of the engine has no types
    """Do what the engine's checkpoint does with a transaction."""
    transaction.prepare(processed_offsets={"likes": 7})
    transaction.flush(changelog_offset=offset)


def test_what_a_checkpoint_stores_is_there_for_the_next(partition: Any) -> None:  # noqa: ANN401
    """Written, overwritten, deleted: the next transaction's store and the engine itself see the same."""
    first: dict[bytes, bytes | None] = {b"1": b'["a"]', b"2": b'["b"]'}
    second: dict[bytes, bytes | None] = {b"1": b'["c"]', b"2": None, b"3": None}
    for offset, changes in enumerate([first, second]):
        transaction = partition.begin()
        store = PartitionStore(transaction)
        for key, value in changes.items():
            store.set(key, value)
        assert transaction.changed
        commit(transaction, offset)
        assert transaction.completed
    store = PartitionStore(partition.begin())
    assert [b'["c"]', None, None] == [store.get(key) for key in (b"1", b"2", b"3")]
    assert b'["c"]' == partition.get(b"1")
    assert 1 == partition.get_changelog_offset()


def test_a_transaction_that_is_dropped_leaves_nothing(partition: Any) -> None:  # noqa: ANN401
    """A checkpoint that is not committed has not happened, and one without changes is not one."""
    PartitionStore(partition.begin()).set(b"1", b'["a"]')
    transaction = partition.begin()
    assert PartitionStore(transaction).get(b"1") is None
    assert not transaction.changed


def test_the_changelog_is_what_the_engine_would_have_written(partition: Any, recorder: Recorder) -> None:  # noqa: ANN401
    """Recovery is the engine's: keys, values, partition and headers are its own, and the last offset is reported."""
    changes = {b"1": b'["a"]', b"2": b'["b"]', b"3": None}
    ours = partition.begin()
    store = PartitionStore(ours)
    for key, value in changes.items():
        store.set(key, value)
    commit(ours, 0)
    assert [2] == recorder.reported
    written, recorder.records = recorder.records, []

    theirs = partition.begin()
    for key, value in changes.items():
        if value is None:
            theirs._update_cache.delete(key, PREFIX)  # noqa: SLF001
        else:
            theirs._update_cache.set(key, value, PREFIX)  # noqa: SLF001
    commit(theirs, 1)
    assert recorder.records == written


def test_a_full_queue_is_waited_for(recorder: Recorder) -> None:
    """Records are neither lost nor sent twice when librdkafka's queue is full."""
    small = Recorder(queue=2)
    send = Sender(small, "user-info")
    for number in range(7):
        send(str(number).encode(), None)
    assert [str(number).encode() for number in range(7)] == [key for _, key, *_ in small.records]
    assert [None] * 7 == [place for *_, place, _ in small.records]
    assert [] == recorder.records


def test_the_version_is_the_one_that_was_read() -> None:
    """The requirement is exact, since an upgrade is a decision."""
    assert f"quixstreams=={version('quixstreams')}" in str(requires("user-information-service"))


FINGERPRINTS: dict[Callable[..., object], str] = {
    Application.run: "8a851b5b0ff5",
    Application._run_dataframe: "3309c346f813",  # noqa: SLF001
    Application._process_message: "29d0171a33f1",  # noqa: SLF001
    Application._assign_partitions: "832c2d9ca9d2",  # noqa: SLF001
    Application._on_revoke: "3583f0b20d3b",  # noqa: SLF001
    Application._on_lost: "0edfd426aa05",  # noqa: SLF001
    Checkpoint.__init__: "4524e0c39c63",
    BaseCheckpoint.expired: "8c58eedc2f8d",
    BaseCheckpoint.empty: "3afbdf9247e0",
    BaseCheckpoint.store_offset: "4a84b4a76816",
    Checkpoint.get_store_transaction: "4404ff20622b",
    Checkpoint.close: "09c0f09bea66",
    Checkpoint.commit: "a324c629763f",
    ProcessingContext.store_offset: "71601d34364c",
    ProcessingContext.commit_checkpoint: "bebf0e223a8f",
    StateStoreManager.register_store: "a95002f1f98a",
    PartitionTransaction.prepare: "e50f5c2f38a4",
    PartitionTransaction._prepare: "16ec88d0eb44",  # noqa: SLF001
    PartitionTransaction._flush: "1723c771830e",  # noqa: SLF001
    PartitionTransactionCache: "25b3db0c23fd",
    RecoveryPartition.recover_from_changelog_message: "3346e17e4f15",
    InternalProducer._on_delivery: "d224f3f5627d",  # noqa: SLF001
    InternalProducer._broker_available: "016ed8ce2353",  # noqa: SLF001
    BaseConsumer.consume: "b1729402b07f",
}
"""Code of the engine -> the beginning of its SHA-256, as it was when the joiner was written against it."""


def fingerprint(code: Callable[..., object]) -> str:
    """Return what tells one version of a piece of code from another."""
    return hashlib.sha256(inspect.getsource(code).encode()).hexdigest()[:12]


@pytest.mark.parametrize("code", FINGERPRINTS, ids=lambda code: code.__qualname__)
def test_the_code_that_the_joiner_leans_on_is_as_it_was(code: Callable[..., object]) -> None:
    """A difference is no fault of the engine's: it says that somebody must read it before the upgrade."""
    assert FINGERPRINTS[code] == fingerprint(code)
