"""Whether the joined state and the topics still belong together.

State is a sum of differences over topics. With other topics of the same names, or with topics that dropped records
before they were read, that state would be silently wrong. So the group notes what its state was built from, and each
start compares. Guarantees: each mismatch is refused with a message; nothing is guessed. Pure: no Kafka, no clock.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from joiner.core.build import Build
from joiner.core.records import PartitionId
from joiner.core.view_note import decode_view, encode_view, find_other_view
from shared.view.model import BUILT_IN, View

FORMAT = 1
"""Version of the states, of their changelogs, and of the internal topic's entries."""

RESET = (
    "stop every joiner of the group and run `python -m joiner reset`, which deletes the joined state and joins the"
    " source topics again from scratch; user-info is served meanwhile"
)

OTHER_GROUP = "holds changes that another group of joiners has written, which would count twice"
OWN_TOPIC = f"set USER_INFO_CHANGES_TOPIC to a topic of this group's own; only if the other group is gone: {RESET}"
"""What to do about it: a reset deletes the topic, and with it what the other group has not read yet."""


class TopicIdentity(NamedTuple):
    """What identifies a topic: one that is created again under the same name has another id."""

    id: str
    partitions: int


@dataclass(frozen=True, slots=True)
class StateInputs:
    """What a state is built from.

    Args:
        topics: sources, internal topic, changelogs and user-info, by name.
        format: version of the stored state.
        view: what it was joined for.
        tables: source topic -> the table whose rows it holds; earlier versions noted none.
    """

    topics: Mapping[str, TopicIdentity]
    format: int = FORMAT
    view: View = BUILT_IN
    tables: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the inputs as the ledger holds them: a JSON object; `decode_inputs` reads it."""
        tables = {"tables": self.tables} if self.tables else {}
        document = {"format": self.format, "topics": self.topics, **tables, **encode_view(self.view)}
        return json.dumps(document, sort_keys=True).encode()


def decode_inputs(noted: bytes) -> StateInputs:
    """Return the inputs that `StateInputs.encode` wrote."""
    document = json.loads(noted)
    topics = {name: TopicIdentity(*identity) for name, identity in document.get("topics", {}).items()}
    return StateInputs(topics, document["format"], decode_view(document), document.get("tables", {}))


class Extent(NamedTuple):
    """What a partition holds, and how much of it the group has read.

    Args:
        low: the low watermark, the first offset that is kept.
        high: the high watermark, the next offset to be written.
        committed: the next offset that the group will read; None: it has committed nothing.
    """

    low: int
    high: int
    committed: int | None = None


@dataclass(frozen=True, slots=True)
class LedgerNotes:
    """What a group of joiners has noted in its ledger.

    Args:
        inputs: what its state is built from; None before the first start.
        caught_up_ms: when each source partition was last read to its end, epoch ms.
        rebuild: for each partition of user-info, its end when a rebuild of an earlier version began; None: none did.
        build: the newest build; None: the state was joined before builds were noted.
        resetting: True while a reset has begun and not ended.
        key_forms: source topic -> the forms of its keys that were met, as joiner.core.key_forms reads them.
        forms_are_whole: True where no record was joined before forms were noted, as earlier versions did.
    """

    inputs: StateInputs | None = None
    caught_up_ms: Mapping[PartitionId, int] = field(default_factory=dict)
    rebuild: Mapping[int, int] | None = None
    build: Build | None = None
    resetting: bool = False
    key_forms: Mapping[str, Collection[str]] = field(default_factory=dict)
    forms_are_whole: bool = False


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What a start finds in Kafka.

    Args:
        inputs: the topics as they are.
        sources: extents of the source topics.
        changes: extents of the internal topic.
        changelogs: extents of the changelogs.
        forgets_ms: compacted topic -> how long it remembers deletions, its `delete.retention.ms`.
        now_ms: the time, epoch ms.
    """

    inputs: StateInputs
    sources: Mapping[PartitionId, Extent]
    changes: Mapping[PartitionId, Extent]
    changelogs: Mapping[PartitionId, Extent]
    forgets_ms: Mapping[str, int]
    now_ms: int

    @property
    def is_behind(self) -> bool:
        """True if a partition ends before what was read of it; a broker that just started may not know its end yet."""
        extents = (*self.sources.values(), *self.changes.values())
        return any(committed is not None and committed > high for _, high, committed in extents)

    @property
    def is_forgotten(self) -> bool:
        """True if sources hold rows and no offset is committed; if some are, the other partitions are just new."""
        committed = [extent.committed for extent in self.sources.values() if extent.high]
        return bool(committed) and all(offset is None for offset in committed)


def find_mismatches(noted: LedgerNotes, found: ClusterFacts) -> list[str]:
    """Return as messages why the group cannot continue with its state; empty if it can.

    Args:
        noted: what the group has noted so far.
        found: what Kafka holds now.
    """
    if noted.resetting:
        return ["a reset of this group was interrupted before its end"]
    if noted.inputs is None:
        return list(_find_strays(found))
    if noted.inputs.format != found.inputs.format:
        return [f"the state has format {noted.inputs.format}, this version writes format {found.inputs.format}"]
    if other := list(find_other_view(noted.inputs.view, found.inputs.view)):
        return other
    return [
        *_find_other_topics(noted.inputs.topics, found.inputs.topics),
        *_find_exchanged_topics(noted.inputs.tables, found.inputs.tables),
        *find_repartitioned(noted.inputs.topics, found.inputs.topics, {topic for topic, _ in found.changes}),
        *_find_cut_changelogs(found.changelogs),
        *_find_lost_offsets(found.sources),
        *_find_lost_offsets(found.changes),
        *_find_forgotten_deletions(noted.caught_up_ms, found),
    ]


def choose_hint(mismatches: Iterable[str]) -> str:
    """Return what to do about mismatches, as `find_mismatches` returns them."""
    return OWN_TOPIC if any(mismatch.endswith(OTHER_GROUP) for mismatch in mismatches) else RESET


def _find_strays(found: ClusterFacts) -> Iterator[str]:
    for (topic, _), extent in found.changelogs.items():
        if extent.high > 0:
            yield f"{topic} holds state, but nothing says what it was built from"
            return
    for (topic, _), extent in (*found.sources.items(), *found.changes.items()):
        if extent.committed is not None:
            yield f"the group has read {topic}, but the state built from it is gone"
            return
    for (topic, _), extent in found.changes.items():
        if extent.high > 0:
            yield f"{topic} {OTHER_GROUP}"
            return


def _find_other_topics(noted: Mapping[str, TopicIdentity], found: Mapping[str, TopicIdentity]) -> Iterator[str]:
    for topic, identity in found.items():
        before = noted.get(topic)
        if before is None:
            others = ", ".join(sorted(noted.keys() - found.keys()))
            yield f"the state was not built from the topic {topic}, but from {others or 'fewer topics'}"
        elif before.id != identity.id:
            yield f"the topic {topic} was deleted and created again since the state was built"


def _find_exchanged_topics(noted: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    """Yield as messages the topics whose rows were joined as another table's."""
    for topic, table in found.items():
        if (before := noted.get(topic, table)) != table:
            yield f"the rows of the topic {topic} were joined as those of {before}, and are those of {table} here"


def find_repartitioned(
    noted: Mapping[str, TopicIdentity], found: Mapping[str, TopicIdentity], made_by_reset: Collection[str] = ()
) -> Iterator[str]:
    """Yield as messages the topics that were given partitions since the state was built: no reset repairs those.

    Newer records of a key lie in another partition than older ones, which stay. So a row would be joined twice, and
    readers could keep either of two records.

    Args:
        noted: the topics that the state is built from.
        found: the topics as they are now.
        made_by_reset: topics that a reset deletes anyway.
    """
    for topic, (topic_id, partitions) in found.items():
        before = noted.get(topic)
        if before is None or before.id != topic_id or before.partitions == partitions:
            continue
        message = f"the topic {topic} had {before.partitions} partitions when the state was built, and has {partitions}"
        if topic not in made_by_reset:
            message += ", so newer records of a key lie in other partitions than older ones: create it again first"
        yield message


def _find_cut_changelogs(changelogs: Mapping[PartitionId, Extent]) -> Iterator[str]:
    for (topic, partition), extent in changelogs.items():
        if extent.low > 0:
            yield f"{topic}[{partition}] has lost its first records: it begins at offset {extent.low}"


def _find_lost_offsets(extents: Mapping[PartitionId, Extent]) -> Iterator[str]:
    for (topic, partition), (low, high, committed) in extents.items():
        if committed is not None and committed < low:
            yield f"{topic}[{partition}] has lost records before they were read: offsets {committed} to {low - 1}"
        if committed is not None and committed > high:
            yield f"{topic}[{partition}] ends at offset {high}, before offset {committed}, up to which it was read"


def _find_forgotten_deletions(caught_up_ms: Mapping[PartitionId, int], found: ClusterFacts) -> Iterator[str]:
    """Yield as messages the source partitions whose tombstones may have been compacted away before they were read."""
    for (topic, partition), extent in found.sources.items():
        forgets_ms = found.forgets_ms.get(topic)
        unread = extent.high > (extent.committed or 0)
        away_ms = found.now_ms - caught_up_ms.get((topic, partition), 0)
        if forgets_ms is not None and unread and away_ms > forgets_ms:
            since = f"for {away_ms // 1000} s" if (topic, partition) in caught_up_ms else "yet"
            yield (
                f"{topic}[{partition}] has not been read to its end {since}, and remembers deletions for only"
                f" {forgets_ms // 1000} s (delete.retention.ms)"
            )
            return
