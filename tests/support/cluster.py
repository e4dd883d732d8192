"""Joiners without Kafka: checkpoints over plain dictionaries, with crashes, redeliveries and lost offsets."""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from joiner.core.chain import Link, name_source_chain
from joiner.core.checkpoint import Checkpoint
from joiner.core.compatibility import LedgerNotes
from joiner.core.key_forms import KeyForms
from joiner.core.partition_work import Store
from joiner.core.plan import Plan
from joiner.core.records import OutputRecord, SourceRecord
from shared.errors import BadRow
from shared.records import RESERVED_KEY_PREFIX
from tests.support.avro import DECODER
from tests.support.built_in import PLAN
from tests.support.strategies import Event

SOURCE_PARTITIONS = 2
INTERNAL_PARTITIONS = 3
NOW_MS = 1_000


class DictStore(Store):
    """One partition's state, as it was last committed."""

    def __init__(self) -> None:
        """Begin empty."""
        self.content: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return what is stored under a key."""
        return self.content.get(key)

    def read_behind(self, key: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return what is stored under the ids behind a key, in their order, at most so many."""
        return sorted(each for each in self.content.items() if key < each[0] < RESERVED_KEY_PREFIX)[:limit]

    def set(self, key: bytes, value: bytes | None) -> None:
        """Store a value, or with None forget the key."""
        if value is None:
            self.content.pop(key, None)
        else:
            self.content[key] = value


def new_key_forms(topics: Iterable[str] = PLAN.tables) -> KeyForms:
    """Return the forms of keys of a group that begins, which notes them nowhere else."""
    return KeyForms(topics, LedgerNotes(forms_are_whole=True), lambda _, form: [form], DECODER)


@dataclass
class Cluster:
    """State, internal topic and output of a group of joiners.

    Args:
        plan: what is joined.
        output: the records of user-info, in the order in which they were committed.
        key_forms: the form of each topic's keys.
        dead_letters: source records that no row could be read from.
    """

    plan: Plan = PLAN
    output: list[OutputRecord] = field(default_factory=list)
    dead_letters: list[Event] = field(default_factory=list)
    stores: defaultdict[tuple[str, int], DictStore] = field(default_factory=lambda: defaultdict(DictStore))
    internal: list[list[tuple[bytes, list[Link]]]] = field(
        default_factory=lambda: [[] for _ in range(INTERNAL_PARTITIONS)]
    )
    key_forms: KeyForms = field(init=False)
    consumed: list[int] = field(default_factory=lambda: [0] * INTERNAL_PARTITIONS)

    def __post_init__(self) -> None:
        """Begin without any form of keys."""
        self.key_forms = new_key_forms(self.plan.tables)

    def run_checkpoint(self, events: Sequence[Event], internal: Sequence[int], *, crashes: bool = False) -> None:
        """Run one checkpoint.

        Args:
            events: source records that it reads.
            internal: how many waiting records it reads of each internal partition.
            crashes: it dies before it commits: nothing of it is kept, and the same is read again.
        """
        checkpoint, bad = Checkpoint(self.plan, avro=DECODER), []
        for event in events:
            table = self.plan.tables[event.table]
            partition = zlib.crc32(event.row_id.encode()) % SOURCE_PARTITIONS
            store = self.stores[event.table, partition] if table.columns else None
            try:
                checkpoint.take_row(table, store, SourceRecord(event.key, event.value, event.source_ms, NOW_MS))
                if not self.key_forms.matches[event.table](event.key):
                    self.key_forms.check(event.table, event.key, "here")
            except BadRow:
                bad.append(event)
        reached = list(self.consumed)
        for partition, count in enumerate(internal):
            for value, links in self.internal[partition][reached[partition] : reached[partition] + count]:
                checkpoint.take_changes(self.stores["changes", partition], reached[partition], value, links)
                reached[partition] += 1
        chains: dict[Store, str] = {store: name_source_chain(*source) for source, store in self.stores.items()}
        packs = [
            (partition, pack, checkpoint.link_pack(partition, INTERNAL_PARTITIONS, chains))
            for partition, pack in checkpoint.pack_changes(INTERNAL_PARTITIONS)
        ]
        records = list(checkpoint.render_records())
        if crashes:
            self.run_checkpoint(events, internal)
            return
        checkpoint.save()
        for partition, pack, links in packs:
            self.internal[partition].append((pack, links))
        self.output += records
        self.dead_letters += bad
        self.consumed = reached

    def lose_offsets(self) -> None:
        """Forget how far the internal topic was read, as a group does that was away for a week; state lives on."""
        self.consumed = [0] * INTERNAL_PARTITIONS

    def remembered(self, store: str) -> set[str]:
        """Return the rows, or for the store ``changes`` the users, that something is remembered of."""
        contents = [dict_store.content for (name, _), dict_store in self.stores.items() if name == store]
        return {key.decode() for content in contents for key in content if not key.startswith(RESERVED_KEY_PREFIX)}

    def finish(self) -> None:
        """Read all that waits."""
        self.run_checkpoint([], [len(waiting) for waiting in self.internal])

    def user_info(self) -> dict[bytes, bytes]:
        """Return what a reader holds in the end: each key's last value."""
        latest: dict[bytes, bytes] = {}
        for record in self.output:
            if record.value is None:
                latest.pop(record.key, None)
            else:
                latest[record.key] = record.value
        return latest
