"""What a reader's folder holds, looked at from outside while the reader runs or not; and whether the topic agrees."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reader.admin.verification import Comparison
from reader.replication.topic import TopicClient
from reader.storage.snapshot import open_live
from reader.storage.store import Record, Store
from shared.errors import KafkaError, StateError

BATCH = 5_000
SILENT_SECONDS = 30.0


def summarize(state: Path) -> dict[str, Any]:
    """Return what there is: which copy, of what, how much, how far.

    Args:
        state: the reader's READER_STATE_DIR.

    Raises:
        StateError: there is nothing.
    """
    store = open_live(state)
    try:
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
    finally:
        store.close()


def find_stored(state: Path, user: bytes) -> Record | None:
    """Return what is stored of one user, and its place in the topic; None where there is nothing.

    Raises:
        StateError: there is no copy.
    """
    store = open_live(state)
    try:
        return store.record(user)
    finally:
        store.close()


def verify(state: Path, topic: TopicClient, say: Callable[[str], object]) -> tuple[int, dict[bytes, str]]:
    """Compare the copy with the topic, up to the copy's offsets.

    Args:
        state: the reader's READER_STATE_DIR.
        topic: what to compare with.
        say: takes a line about how far it is, every few seconds.

    Returns:
        How many records the copy holds, and user -> what differs.

    Raises:
        StateError: there is no copy, or it is one of another topic.
        KafkaError: Kafka does not answer.
    """
    store = open_live(state)
    try:
        identity = topic.identity()
        if identity is None or store.note("identity") != identity.to_note():
            raise StateError(f"READER_STATE_DIR={state} is a copy of another topic than {topic.name} (USER_INFO_TOPIC)")
        with store.still():
            return _compare(store, topic, identity.partitions, say)
    finally:
        store.close()


def _compare(
    store: Store, topic: TopicClient, partitions: int, say: Callable[[str], object]
) -> tuple[int, dict[bytes, str]]:
    offsets = store.offsets()
    comparison = Comparison(store.record, offsets)
    positions = dict(topic.bounds(partitions).firsts)
    found: dict[bytes, str] = {}
    # A second pass, to the end as it is by then, tells what compaction took away meanwhile from what is wrong.
    for _ in range(2):
        ends = topic.bounds(partitions).ends
        _read_on(topic, positions, {p: max(end, offsets.get(p, 0)) for p, end in ends.items()}, comparison, say)
        found = comparison.differences(store.records())
        if not found:
            break
    return store.count(), found


def _read_on(
    topic: TopicClient,
    positions: dict[int, int],
    ends: Mapping[int, int],
    comparison: Comparison,
    say: Callable[[str], object],
) -> None:
    heard = said = time.monotonic()
    with topic.read(positions) as reading:
        while any(positions[partition] < end for partition, end in ends.items()):
            batch = reading.next(BATCH, 0.2)
            if batch.broken is not None:
                raise KafkaError(f"reading {batch.broken}")
            for record in batch.records:
                comparison.see(record)
            now = time.monotonic()
            if batch.offsets:
                heard = now
                positions.update(batch.offsets)
            elif now - heard > SILENT_SECONDS:
                raise KafkaError(f"nothing came from Kafka at {topic.servers} for {SILENT_SECONDS:g} s; try again")
            if now - said > 2:
                said = now
                say(f"read {sum(positions.values()):,} of {sum(ends.values()):,} offsets")
