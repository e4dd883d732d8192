"""What joiner.engine uses of Quix's private parts: an upgrade that changes any of it fails here.

First what must come out, tried on Quix's own RocksDB store. Then the code that the joiner replaces or depends on, by
fingerprint: where one differs, read what changed, fix the joiner, run the broker tests, and note the new fingerprint.
Last, that no module but one touches private parts, and that all of these are covered by a fingerprint.
"""

import ast
import hashlib
import inspect
import re
from collections.abc import Callable, Iterator
from importlib.metadata import requires, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from confluent_kafka import KafkaError
from quixstreams import Application
from quixstreams.checkpointing.checkpoint import BaseCheckpoint, Checkpoint
from quixstreams.internal_producer import InternalProducer
from quixstreams.kafka.consumer import BaseConsumer
from quixstreams.kafka.producer import Producer
from quixstreams.processing import ProcessingContext
from quixstreams.state import StateStoreManager
from quixstreams.state.base.transaction import PartitionTransaction, PartitionTransactionCache
from quixstreams.state.recovery import ChangelogProducer, RecoveryManager, RecoveryPartition
from quixstreams.state.rocksdb import RocksDBStorePartition

from joiner.engine import recovery
from joiner.engine.application import JoinerApplication
from joiner.engine.producer import RecordSender
from joiner.engine.recovery import restore_everything, restore_in_batches
from joiner.engine.stores import PartitionStore
from tests.support.programs import ROOT

PREFIX = b""


class Recorder:
    """Takes the place of Quix's producer, at each of its three depths, and keeps what it is given."""

    def __init__(self, queue: int = 1_000) -> None:
        """Take records until the queue is full; a poll empties it."""
        self.records: list[tuple[str, bytes, bytes | None, int | None, dict[str, bytes]]] = []
        self.reported: list[int] = []
        self._room = self._queue = queue

    @property
    def _producer(self) -> "Recorder":
        return self

    def _on_delivery(self) -> None:
        """Note the offset, in Quix."""

    def produce(self, topic: str, value: bytes | None, key: bytes, **more: Any) -> None:  # noqa: ANN401
        """Take a record as librdkafka's producer and Quix's own do."""
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
def partition(tmp_path: Path, recorder: Any) -> Iterator[Any]:  # noqa: ANN401 - Quix's types are not met
    """Give a partition of Quix's own store, with a changelog."""
    changelog = ChangelogProducer("changelog", 3, recorder)
    opened: Any = RocksDBStorePartition(str(tmp_path / "store"), changelog_producer=changelog)
    yield opened
    opened.close()


def commit(transaction: Any, offset: int) -> None:  # noqa: ANN401 - Quix's private parts have no types
    """Do what Quix's checkpoint does with a transaction."""
    transaction.prepare(processed_offsets={"likes": 7})
    transaction.flush(changelog_offset=offset)


def test_what_a_checkpoint_stores_is_there_for_the_next(partition: Any) -> None:  # noqa: ANN401
    """Written, overwritten, deleted: the next transaction's store and Quix itself see the same."""
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


def test_the_changelog_is_what_quix_would_have_written(partition: Any, recorder: Recorder) -> None:  # noqa: ANN401
    """Quix can restore it: all is as its own; what was set last is the last record, and the one that is reported."""
    changes = {b"1": b'["a"]', b"2": b'["b"]', b"3": None}
    ours = partition.begin()
    store = PartitionStore(ours)
    for key, value in changes.items():
        store.set(key, value)
    commit(ours, 0)
    assert [2] == recorder.reported
    written, recorder.records = recorder.records, []
    assert [b"1", b"3", b"2"] == [key for _, key, *_ in written]

    theirs = partition.begin()
    for key, value in changes.items():
        if value is None:
            theirs._update_cache.delete(key, PREFIX)  # noqa: SLF001
        else:
            theirs._update_cache.set(key, value, PREFIX)  # noqa: SLF001
    commit(theirs, 1)
    assert sorted(written, key=str) == sorted(recorder.records, key=str)


def test_a_full_queue_is_waited_for(recorder: Recorder) -> None:
    """Records are neither lost nor sent twice when librdkafka's queue is full."""
    small: Any = Recorder(queue=2)
    send = RecordSender(small, "user-info")
    for number in range(7):
        send(str(number).encode(), None)
    assert [str(number).encode() for number in range(7)] == [key for _, key, *_ in small.records]
    assert [None] * 7 == [partition for *_, partition, _ in small.records]
    assert [] == recorder.records


class Changelog:
    """Takes the place of Quix's RecoveryManager and of its consumer: one batch of records, then nothing."""

    def __init__(self, store: object, records: "list[Record]", position: int = 0) -> None:
        """Take records of partition 3, and what the client says of its position."""
        self.position = position
        self.recovering = True
        self.partitions = {3: {"changelog": SimpleNamespace(_store_partition=store)}}
        self.rewound: list[int] = []
        self._position_cache: dict[str, object] = {"changelog:3": "long ago"}
        self._consumer = self
        self._topic_manager = SimpleNamespace(non_changelog_topics={"likes"})
        self._batches = [records]

    def consume(self, num_messages: int, timeout: float) -> "list[Record]":
        """Return the batch once."""
        assert num_messages > 1
        assert timeout < 1
        return self._batches.pop() if self._batches else []

    def _log_recovery_progress(self) -> None:
        """Say nothing."""

    def _get_changelog_offset(self, _recovering: object) -> int | None:
        return self.position

    def _update_recovery_status(self) -> None:
        assert not self._position_cache
        self.recovering = False

    def _rewind_data_partition(self, record: "Record") -> None:
        self.rewound.append(record.offset())


class Record:
    """One record as the client hands it over."""

    def __init__(self, topic: str, offset: int, key: bytes, value: bytes | None, error: int | None = None) -> None:
        """Take what it says."""
        self.topic, self.offset = always(topic), always(offset)
        self.key, self.value = always(key), always(value)
        self.partition, self.error = always(3), always(None if error is None else KafkaError(error))


Given = TypeVar("Given")


def always(value: Given) -> Callable[[], Given]:
    """Return a function that returns a value."""
    return lambda: value


def test_a_batch_restores_what_the_changelog_says(partition: Any) -> None:  # noqa: ANN401
    """The last value of each key counts, deletions too, and the offset that was reached is stored with them."""
    changelog = Changelog(
        partition,
        [
            Record("changelog", 10, b"1", b'["a"]'),
            Record("likes", 5, b"no state", b"{}"),
            Record("changelog", 11, b"2", b'["b"]'),
            Record("given away", 7, b"3", b'["c"]'),
            Record("changelog", 12, b"1", None),
            Record("changelog", 14, b"2", b'["d"]'),
            Record("changelog", 17, b"", None, KafkaError._PARTITION_EOF),  # noqa: SLF001 - the client's public constant
        ],
    )
    manager: Any = changelog
    checked: list[int | None] = []
    restore_in_batches(manager, lambda: checked.append(partition.get_changelog_offset()))
    manager._recovery_loop()  # noqa: SLF001
    store = PartitionStore(partition.begin())
    assert [None, b'["d"]', None, None] == [store.get(key) for key in (b"1", b"2", b"3", b"no state")]
    assert 14 == partition.get_changelog_offset()
    assert [5] == changelog.rewound
    assert 14 in checked


@pytest.mark.parametrize(("end", "position", "read_up_to"), [(17, 18, 17), (17, 19, 19), (17, 17, 17), (17, 15, 15)])
def test_the_end_of_a_changelog_is_not_counted_as_a_record(
    partition: Any,  # noqa: ANN401
    end: int,
    position: int,
    read_up_to: int,
) -> None:
    """The client's position is one too far where it reported an end; a single record there may still be committed."""
    reported = Record("changelog", end, b"", None, KafkaError._PARTITION_EOF)  # noqa: SLF001 - the client's public constant
    manager: Any = Changelog(partition, [reported], position)
    restore_in_batches(manager, lambda: None)
    manager._recovery_loop()  # noqa: SLF001
    recovering = SimpleNamespace(changelog_name="changelog", partition_num=3)
    assert read_up_to == manager._get_changelog_offset(recovering)  # noqa: SLF001


def test_a_changelog_whose_end_does_not_come_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A transaction left open keeps a joiner waiting; the log says which, how far it has read, and what ends it."""
    monkeypatch.setattr(recovery, "PATIENCE_SECONDS", 0.0)
    manager: Any = Changelog(None, [])
    manager.partitions[3]["changelog"] = SimpleNamespace(
        changelog_name="changelog", partition_num=3, recovery_consume_position=13268, changelog_highwater=13270
    )
    restore_in_batches(manager, lambda: None)
    manager._recovery_loop()  # noqa: SLF001
    assert "still waiting for the end of changelog[3], offset 13270, having read up to 13268" in caplog.text
    assert "`kafka-transactions.sh find-hanging` and `abort` end it, and `python -m joiner reset`" in caplog.text


def test_a_store_that_is_too_old_is_restored_from_the_beginning(tmp_path: Path) -> None:
    """Its changelog may have forgotten deletions since; a store that is recent enough stays."""
    manager = StateStoreManager(group_id="j", state_dir=tmp_path)
    manager.register_store("likes")
    for number in (0, 1):
        transaction: Any = manager.get_store("likes").assign_partition(number).begin()
        transaction.set("key", "value", prefix=b"")
        transaction.flush(changelog_offset=10)
        manager.on_partition_revoke("likes", number)
    restore_everything(manager, {("changelog", 0): 13, ("changelog", 1): 12}, {"likes": "changelog"})
    stores: list[Any] = [manager.on_partition_assign("likes", number, {}) for number in (0, 1)]
    assert [None, 10] == [each["default"].get_changelog_offset() for each in stores]
    manager.close()


def test_a_changelog_is_restored_regardless_of_committed_offsets() -> None:
    """Offsets that were lost with their group leave out nothing of the state."""
    seen: list[Any] = []

    class Manager:
        def on_partition_assign(self, _stream: str, _partition: int, committed: object) -> None:
            seen.append(committed)

    manager: Any = Manager()
    restore_everything(manager, {}, {})
    manager.on_partition_assign("likes", 0, {"likes": -1001})
    assert 10**15 < seen[0]["likes"]


def test_the_version_is_the_one_that_was_read() -> None:
    """The requirement is exact, since an upgrade is a decision."""
    assert f"quixstreams=={version('quixstreams')}" in str(requires("user-information-service"))


FINGERPRINTS: dict[Callable[..., object], str] = {
    Application.run: "8a851b5b0ff5",
    Application.stop: "afa4475c3501",
    Application._run_dataframe: "3309c346f813",  # noqa: SLF001
    Application._process_message: "29d0171a33f1",  # noqa: SLF001
    Application._assign_partitions: "832c2d9ca9d2",  # noqa: SLF001
    Application._on_assign: "649c087559d4",  # noqa: SLF001
    Application._on_sigterm: "a935dc737a07",  # noqa: SLF001
    Application._on_sigint: "1ea7627a7104",  # noqa: SLF001
    Application._on_revoke: "3583f0b20d3b",  # noqa: SLF001
    Application._on_lost: "0edfd426aa05",  # noqa: SLF001
    Checkpoint.__init__: "4524e0c39c63",
    Checkpoint._flush_sink_bounded: "482b12ecd541",  # noqa: SLF001
    BaseCheckpoint.__init__: "bc4acddc8bd2",
    BaseCheckpoint.expired: "8c58eedc2f8d",
    BaseCheckpoint.empty: "3afbdf9247e0",
    BaseCheckpoint.store_offset: "4a84b4a76816",
    Checkpoint.get_store_transaction: "4404ff20622b",
    Checkpoint.close: "09c0f09bea66",
    Checkpoint.commit: "a324c629763f",
    ProcessingContext.store_offset: "71601d34364c",
    ProcessingContext.commit_checkpoint: "bebf0e223a8f",
    ProcessingContext.init_checkpoint: "a0a1bf8f5c28",
    StateStoreManager.do_recovery: "b4bad5ba134d",
    StateStoreManager.register_store: "a95002f1f98a",
    StateStoreManager.on_partition_assign: "63474848ca46",
    StateStoreManager.destroy_partition_state: "a22b2104e585",
    RecoveryPartition.__init__: "bf35f78414ae",
    RecoveryPartition._should_apply_changelog: "dd5bc309c863",  # noqa: SLF001
    PartitionTransaction.__init__: "629c39e50235",
    PartitionTransaction.prepare: "e50f5c2f38a4",
    PartitionTransaction._prepare: "16ec88d0eb44",  # noqa: SLF001
    PartitionTransaction._flush: "1723c771830e",  # noqa: SLF001
    PartitionTransactionCache: "25b3db0c23fd",
    RecoveryPartition.recover_from_changelog_message: "3346e17e4f15",
    RecoveryManager.do_recovery: "4c7f0180dab8",
    RecoveryManager._generate_recovery_partitions: "060b98b9a9d8",  # noqa: SLF001
    RecoveryManager._recovery_loop: "a79decd164ca",  # noqa: SLF001
    RecoveryManager._rewind_data_partition: "59f72db7ac9a",  # noqa: SLF001
    RecoveryManager._get_position_with_cache: "f164831f09c5",  # noqa: SLF001
    RecoveryManager._get_changelog_offset: "3cc0a187f347",  # noqa: SLF001
    RecoveryManager._check_invalid_offset_threshold: "bf57ca550f60",  # noqa: SLF001
    RecoveryManager._update_recovery_status: "ecd3fea8b199",  # noqa: SLF001
    RocksDBStorePartition.recover_from_changelog_message: "850e289b50bd",
    RocksDBStorePartition.complete_recovery: "590423779b78",
    RocksDBStorePartition._update_changelog_offset: "ab66de3a9c05",  # noqa: SLF001
    RocksDBStorePartition._write: "18b14eeb6b12",  # noqa: SLF001
    RocksDBStorePartition.get_or_create_column_family: "522ef820df8c",
    RocksDBStorePartition.get_column_family_handle: "c6cf9452d229",
    ChangelogProducer.__init__: "d88985da6da9",
    InternalProducer.__init__: "54c266921367",
    InternalProducer.begin_transaction: "079297938cb0",
    InternalProducer.commit_transaction: "7bde107a94cf",
    InternalProducer.abort_transaction: "cbdcbe97ba02",
    InternalProducer._retry_transaction_op: "3a4a479bbce1",  # noqa: SLF001
    Producer.__init__: "9e545ff54e14",
    Producer._error_cb: "c51490bc8585",  # noqa: SLF001
    InternalProducer._on_delivery: "d224f3f5627d",  # noqa: SLF001
    InternalProducer._broker_available: "016ed8ce2353",  # noqa: SLF001
    BaseConsumer.consume: "b1729402b07f",
    BaseConsumer._broker_available: "2648e850b760",  # noqa: SLF001
    BaseConsumer._error_cb: "c51490bc8585",  # noqa: SLF001
    Producer._broker_available: "d8c15af7fb79",  # noqa: SLF001
    vars(Producer)["_producer"].fget: "11ba878b0156",
}
"""Code of Quix -> the beginning of its SHA-256, as it was when the joiner was written against it."""


def fingerprint(code: Callable[..., object]) -> str:
    """Return a short hash that differs between versions of a piece of code."""
    return hashlib.sha256(inspect.getsource(code).encode()).hexdigest()[:12]


@pytest.mark.parametrize("code", FINGERPRINTS, ids=lambda code: code.__qualname__)
def test_the_code_that_the_joiner_depends_on_is_as_it_was(code: Callable[..., object]) -> None:
    """A difference is no fault of Quix: it says that the new code must be read before the upgrade."""
    assert FINGERPRINTS[code] == fingerprint(code)


ENGINE = ROOT / "joiner" / "engine"


def private_names(module: Path) -> Iterator[tuple[str, str]]:
    """Yield the private attributes that a module touches: the object as it is written there, and the name."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            yield ast.unparse(node.value), node.attr


@pytest.mark.parametrize("module", sorted(ENGINE.glob("*.py")), ids=lambda module: module.stem)
def test_private_parts_of_quix_are_touched_in_one_module(module: Path) -> None:
    """Everywhere else an underscore belongs to the object itself, or to the base class that it extends."""
    if module.name != "quix_internals.py":
        assert {obj for obj, _ in private_names(module)} <= {"self", "super()"}


def test_every_private_name_of_quix_is_covered_by_a_fingerprint() -> None:
    """A name that an upgrade takes away changes code that mentions it; what the application inherits counts as well."""
    ours = vars(JoinerApplication).keys() | {
        node.attr
        for node in ast.walk(ast.parse((ENGINE / "application.py").read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr != "_failed"
    }
    inherited = {name for obj, name in private_names(ENGINE / "application.py") if obj == "self"} - ours
    borrowed = {name for _, name in private_names(ENGINE / "quix_internals.py")} | inherited
    read = "\n".join(inspect.getsource(code) for code in FINGERPRINTS)
    assert borrowed
    assert set() == {name for name in borrowed if not re.search(rf"\b{name}\b", read)}
    assert {"_consumer", "_failed", "_processing_context", "_producer", "_state_manager"} == inherited
