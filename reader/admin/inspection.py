"""What a reader's folder holds, read from outside while the reader runs or not; and whether the topic agrees."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reader.admin.verification import Comparison
from reader.replication.copy_writer import read_wholeness
from reader.storage.metadata import read_topic
from reader.storage.snapshot import open_live
from reader.storage.store import Store
from replication.kafka.topic import TopicClient
from replication.records import Record
from shared.errors import KafkaError, StateError

BATCH = 5_000
"""Records in one read: no client waits meanwhile."""

SILENT_SECONDS = 30.0
"""How long Kafka may send nothing: long enough for a broker to be replaced."""

Show = Callable[[float, str], object]


def summarize(state: Path) -> dict[str, Any]:
    """Return which copy there is, of which topic, how much it holds, and how far it has read.

    Args:
        state: the reader's READER_STATE_DIR.

    Raises:
        StateError: there is no copy.
    """
    with _open(state) as store:
        complete = store.note("complete")
        return {
            "copy": str(store.folder),
            "identity": store.note("identity"),
            "complete": store.complete,
            "completeAtMs": complete,
            "records": store.count(),
            "bytesOnDisk": store.size_bytes(),
            "bytesInUse": store.bytes_in_use(),
            "offsets": {str(partition): offset for partition, offset in sorted(store.offsets().items())},
        }


def find_stored(state: Path, user: bytes) -> Record | None:
    """Return what is stored of one user, with its position in the topic; None if there is nothing.

    Raises:
        StateError: there is no copy, the joiner has not finished what is in it, or the user is in another shard.
    """
    with _open(state) as store:
        copied = read_topic(store.note("identity"))
        if copied and not store.complete and read_wholeness(store, copied.share).whole is False:
            raise StateError(f"the copy in READER_STATE_DIR={state} is not whole yet", "wait until /readyz says ready")
        other = copied.share.find_other_shard(user) if copied else None
        if copied and other:
            what = f"this user is in shard {other}, and READER_STATE_DIR={state} holds shard {copied.share.shard}"
            raise StateError(what, "ask a reader of that shard")
        return store.record(user)


def verify(state: Path, topic: TopicClient, show: Show) -> tuple[int, dict[bytes, str]]:
    """Compare the copy with the topic, up to the copy's offsets.

    Args:
        state: the reader's READER_STATE_DIR.
        topic: what to compare with.
        show: takes how far it is: percent, and how much that is.

    Returns:
        How many records the copy holds, and user -> what differs.

    Raises:
        StateError: there is no copy, or it is one of another topic.
        KafkaError: Kafka does not answer.
    """
    with _open(state) as store:
        identity = topic.read_identity()
        if identity is None or store.note("identity") != identity.to_note():
            raise StateError(
                f"READER_STATE_DIR={state} is a copy of another topic than {topic.name}",
                "set USER_INFO_TOPIC, READER_SHARD and READER_STATE_DIR as the reader has them",
            )
        with store.freeze():
            return _compare(store, topic, identity.share.held, show)


@contextmanager
def _open(state: Path) -> Iterator[Store]:
    store = open_live(state)
    try:
        yield store
    finally:
        store.close()


def _compare(store: Store, topic: TopicClient, partitions: Sequence[int], show: Show) -> tuple[int, dict[bytes, str]]:
    offsets = store.offsets()
    comparison = Comparison(store.record, offsets)
    positions = dict(topic.read_bounds(partitions).firsts)
    differences: dict[bytes, str] = {}
    # A second pass, to the end as it is by then, tells what compaction removed meanwhile from what is wrong.
    for _ in range(2):
        ends = topic.read_bounds(partitions).ends
        _read_to(topic, positions, {p: max(end, offsets.get(p, 0)) for p, end in ends.items()}, comparison, show)
        differences = comparison.find_differences(store.records())
        if not differences:
            break
    return store.count(), differences


def _read_to(
    topic: TopicClient,
    positions: dict[int, int],
    ends: Mapping[int, int],
    comparison: Comparison,
    show: Show,
) -> None:
    """Read the topic from the positions to the ends, moving the positions on."""
    heard, target = time.monotonic(), sum(ends.values())
    with topic.open_reader(positions) as reader:
        while any(positions[partition] < end for partition, end in ends.items()):
            batch = reader.read_batch(BATCH, 0.2)
            if batch.broken is not None:
                raise KafkaError(f"reading {batch.broken}", "try again")
            for record in batch.records:
                comparison.note(record)
            now = time.monotonic()
            if batch.offsets:
                heard = now
                positions.update(batch.offsets)
            elif now - heard > SILENT_SECONDS:
                raise KafkaError(f"nothing came from Kafka at {topic.servers} for {SILENT_SECONDS:g} s", "try again")
            read = sum(positions.values())
            show(100 * read / target, f"{read:,} of {target:,} offsets")
