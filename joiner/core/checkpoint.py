"""One checkpoint's work: rows in, sums out; sums in, records out.

Between two commits every row is compared with what is known of it, and what that changes is summed per user. So a
user who gains a thousand followers costs one internal entry and one record. All of it lives here, in memory, and dies
with the checkpoint: nothing is stored or sent before the engine closes it. Knows neither Quix nor Kafka.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import orjson

from joiner.core.build import STORED_KEY, Build, PartBuild, decode_notice
from joiner.core.chain import Link
from joiner.core.columns import Values, complete_row
from joiner.core.differences import diff_owners, diff_terms
from joiner.core.partition_work import PartitionWork, Store
from joiner.core.plan import Plan, Table
from joiner.core.records import OutputRecord, SourceRecord
from joiner.core.rows import parse_row
from joiner.core.users import (
    UNTIMED,
    Changes,
    Unchanged,
    apply_change,
    decode_state,
    is_request_entry,
    parse_entry,
    resolve_unavailable,
)
from shared.topics import partition_of
from shared.unavailable import UNAVAILABLE

if TYPE_CHECKING:
    from joiner.core.avro import AvroDecoder

PACK_BYTES = 256 * 1024
"""Entries are packed into internal records up to this size: few messages, yet enough to spread over partitions."""

BYTES_PER_ROW = 2_000
"""Roughly what a row or a user takes in memory. A profile may take a thousand times as much, and then counts more."""

CHANGES_KEY = b"changes"
"""Key of an internal record that holds changes; its partition is chosen by user, and the topic is never compacted."""

PASS_USERS = 4_000
"""Users that a checkpoint writes of passes, those of all its parts together: some 0.1 s of work."""


class Checkpoint:
    """What was read since the last commit. Used by one thread at a time; the engine sees to that.

    Args:
        plan: the view's.
        build: the group's; None: its state was joined before builds were noted, and is whole.
        avro: reads Avro; None: no schema registry is known.
    """

    def __init__(self, plan: Plan, build: Build | None = None, avro: "AvroDecoder | None" = None) -> None:
        self._plan = plan
        self._build = build
        self._avro = avro
        self._changes = Changes(len(plan.view.aggregates))
        self._partitions: dict[Store, PartitionWork] = {}
        self._bytes = 0
        self.unknown_values = 0
        """How many values the source left out as unchanged while none was known; they are null."""

    @property
    def size(self) -> int:
        """How many rows and users are held in memory, or as many as take the same memory as the large ones."""
        held = len(self._changes) + sum(len(p.rows) + len(p.users) for p in self._partitions.values())
        return max(held, self._bytes // BYTES_PER_ROW)

    def take_row(self, table: Table, store: Store | None, record: SourceRecord) -> None:
        """Stage 1: note what a source record changes.

        Args:
            table: the table whose topic the record was in.
            store: row id -> what is kept of the row, for the record's partition; None where nothing is.
            record: the record.

        Raises:
            BadRow, RegistryAway: no row can be read from the record, or not yet; nothing has changed.
        """
        row_id, values, source_ms, is_snapshot = parse_row(table, record.key, record.value, self._avro)
        source_ms = min(record.time_ms if source_ms is None else source_ms, record.now_ms)
        since_ms = source_ms if record.is_news and not is_snapshot else UNTIMED
        if store is None or not table.plain_counts:
            self._take_values(table, store, row_id, values, (source_ms, since_ms))
            self._bytes += len(record.value or b"")
            return
        partition = self._partition(store)
        old = partition.find_row(row_id)
        new = resolve_unavailable(values, old) if values is not None else None
        self._note_unknown(values, old)
        for user_id, aggregate, difference in diff_owners(table, old, new):
            self._changes.add(user_id, aggregate, difference, source_ms, since_ms)
        partition.rows[row_id] = new

    def _take_values(
        self, table: Table, store: Store | None, row_id: str, values: Values | None, times: tuple[int, int]
    ) -> None:
        """Note what a row changes that is a user's, or that adds to aggregates by more than its owners."""
        kept = len(table.columns)
        if store is not None:
            partition = self._partition(store)
            old = partition.find_row(row_id)
            sent = None if values is None else values[:kept]
            new = None if sent is None else complete_row(sent, old)
            differences = diff_terms(table, old, new)
            self._note_unknown(sent, old)
            for user_id, aggregate, difference in differences:
                self._changes.add(user_id, aggregate, difference, *times)
            partition.rows[row_id] = new
        if table.fields is not None:
            self._changes.set_profile(row_id, None if values is None else values[kept:], *times)

    def take_changes(
        self, store: Store, offset: int, value: bytes, links: Iterable[Link] = (), where: str = "a pack"
    ) -> None:
        """Stage 2: apply an internal record's changes, once, however often the record is delivered.

        Args:
            store: user id -> state, for the record's partition.
            offset: the record's offset.
            value: entries as `pack_changes` writes them.
            links: its places in chains; none where an earlier version has sent it, or where it only requests records.
            where: the record, for people.

        Raises:
            StateError: what Kafka has kept is not what was sent; nothing of the checkpoint may be committed.
        """
        partition = self._part(store)
        if offset < partition.open_changes(where):
            return
        partition.chains.follow(links, where)
        partition.writes_all |= offset < partition.again_before
        self._bytes += len(value)
        for entry in orjson.loads(value):
            user_id, change = parse_entry(entry)
            before, after = partition.users.get(user_id) or (decode_state(store.get(user_id.encode())),) * 2
            if is_request_entry(entry):
                partition.requested[user_id] = change.newest_ms
            else:
                self._note_unknown(change.profile, after.profile)
                after = apply_change(after, change)
            partition.users[user_id] = (before, after)
        partition.next_offset = offset + 1

    def write_again(self, store: Store, before: int) -> None:
        """Have it write each user whose changes come before an offset of the store's part, shown already or not."""
        self._part(store).again_before = before

    def take_notice(self, store: Store, value: bytes) -> None:
        """Stage 2: note how far a build is; as often as the record is delivered.

        Args:
            store: user id -> state, for the record's partition.
            value: as `Notice.encode` writes it.
        """
        partition = self._part(store)
        if partition.build is not None:
            partition.move_build(partition.build.receive(decode_notice(value)))

    def hold_part(self, store: Store) -> PartBuild | None:
        """Return how far a part's build is, and have the checkpoint carry it on, though no record of it may come.

        Args:
            store: user id -> state, for that partition of the internal topic.
        """
        partition = self._part(store)
        if partition.build is not None:
            partition.move_build(partition.build)
            # At once, since a checkpoint without writes is dropped.
            store.set(STORED_KEY, partition.build.encode())
        return partition.build

    def builds(self) -> Iterator[tuple[Store, PartBuild]]:
        """Yield how far the build of each part in the checkpoint is, once its records are rendered."""
        for store, partition in self._partitions.items():
            if partition.build is not None:
                yield store, partition.build

    def pack_changes(self, partitions: int) -> Iterator[tuple[int, bytes]]:
        """Yield what stage 1 passes on: (internal partition, changes of many users in one JSON array).

        Args:
            partitions: how many partitions the internal topic has.
        """
        waiting: defaultdict[int, list[bytes]] = defaultdict(list)
        size: defaultdict[int, int] = defaultdict(int)
        for user_id, change in self._changes.items():
            if change.is_empty:
                continue
            entry = change.encode(user_id)
            target = partition_of(user_id.encode(), partitions)
            if size[target] and size[target] + len(entry) > PACK_BYTES:
                yield target, _join_entries(waiting.pop(target))
                size[target] = 0
            waiting[target].append(entry)
            size[target] += len(entry)
        yield from zip(waiting, map(_join_entries, waiting.values()), strict=True)

    def link_pack(self, target: int, partitions: int, chains: Mapping[Store, str]) -> list[Link]:
        """Count a pack to one of so many internal partitions; return its places in the chains of the rows behind it.

        `chains` names the chain of each source partition, given its store.
        """
        return [
            Link(chains[store], partition.count_pack(target, partitions))
            for store, partition in self._partitions.items()
            if partition.rows
        ]

    def render_records(self) -> Iterator[OutputRecord]:
        """Yield what stage 2 writes, each user once: changes that clients see, what is requested, pieces of passes."""
        build = self._build
        writing = [each for each in self._partitions.values() if each.build and each.build.phase == "writing"]
        for partition in self._partitions.values():
            yield from partition.render_changes(self._plan)
            if build is not None and partition in writing:
                yield from partition.render_pass(self._plan, build, PASS_USERS // len(writing))

    def save(self) -> None:
        """Hand the new states to the stores, each key once."""
        for partition in self._partitions.values():
            partition.save()

    def _note_unknown(self, values: Values | Unchanged | None, known: Values | None) -> None:
        if values and known is None:
            self.unknown_values += values.count(UNAVAILABLE)

    def _part(self, store: Store) -> PartitionWork:
        """Return the work on a partition of the internal topic, with how far its build is."""
        partition = self._partition(store)
        if self._build is not None:
            partition.open_build(self._build)
        return partition

    def _partition(self, store: Store) -> PartitionWork:
        partition = self._partitions.get(store)
        if partition is None:
            partition = self._partitions[store] = PartitionWork(store)
        return partition


def _join_entries(entries: list[bytes]) -> bytes:
    return b"[" + b",".join(entries) + b"]"
