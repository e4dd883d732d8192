"""Heartbeats never overtake the data, whichever joiner reads, is paused, or takes a partition over.

A group of joiners over plain lists: source partitions that may be held up, an internal topic, user-info, all of it
appended to and read in order. What a heartbeat promises is compared with what was really written before it.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from joiner.core.records import PartitionId
from joiner.core.watermarks import InternalWatermarks, SourceWatermarks, decode_watermarks, encode_watermarks
from replication.freshness import Freshness
from shared.heartbeats import Heartbeat, parse_heartbeat
from shared.parts import partitions_of
from shared.shards import Share

SOURCES: tuple[PartitionId, ...] = (("likes", 0), ("likes", 1), ("users", 0))
JOINERS = 2

joiners = st.integers(0, JOINERS - 1)
partition_ids = st.sampled_from(SOURCES)


class Change(NamedTuple):
    """One change of a user, of whom only the number matters that places it."""

    time: int
    user: int


@dataclass
class Joiner:
    """One process: what it owns, and what its two stages know."""

    stage_2: InternalWatermarks
    stage_1: SourceWatermarks = field(default_factory=SourceWatermarks)


class Group(RuleBasedStateMachine):
    """Joiners, topics and a reader."""

    @initialize(parts=st.integers(1, 4), partitions=st.integers(1, 6))
    def begin(self, parts: int, partitions: int) -> None:
        """Begin with empty topics, everything owned by the first joiner."""
        self.clock = 0
        self.parts, self.partitions = parts, partitions
        self.heartbeat: int | None = None
        self.sources: dict[PartitionId, list[Change]] = {partition_id: [] for partition_id in SOURCES}
        self.held: dict[PartitionId, int] = {}
        self.read = dict.fromkeys(SOURCES, 0)
        self.internal: list[list[Change | bytes]] = [[] for _ in range(parts)]
        self.applied = [0] * parts
        self.user_info: list[list[Change | Heartbeat]] = [[] for _ in range(partitions)]
        self.joiners = [Joiner(InternalWatermarks(SOURCES)) for _ in range(JOINERS)]
        self.owner_of_source = dict.fromkeys(SOURCES, 0)
        self.owner_of_part = [0] * parts
        self.freshness = Freshness(Share(partitions))
        self.taken = [0] * partitions

    # The source

    @rule(partition_id=partition_ids, user=st.integers(0, 11))
    def change(self, partition_id: PartitionId, user: int) -> None:
        """Change something, which reaches its topic."""
        self.clock += 1
        self.sources[partition_id].append(Change(self.clock, user))

    @rule()
    def beat(self) -> None:
        """Send a heartbeat the way of the data, so behind all that changed before."""
        self.clock += 1
        self.heartbeat = self.clock

    @rule(lost=st.sets(partition_ids, max_size=1))
    def beat_and_be_heard(self, lost: set[PartitionId]) -> None:
        """Send a heartbeat that every joiner reads at once."""
        self.beat()
        for joiner in range(JOINERS):
            self.learn(joiner, lost)

    @rule(partition_id=partition_ids)
    def hold(self, partition_id: PartitionId) -> None:
        """Have a partition stop, as behind an open transaction: its end moves on, its reader does not."""
        self.held.setdefault(partition_id, self.read[partition_id])

    @rule(partition_id=partition_ids, user=st.integers(0, 11))
    def stand_still(self, partition_id: PartitionId, user: int) -> None:
        """Have a partition stop before a row that no consumer may read yet."""
        self.hold(partition_id)
        self.change(partition_id, user)

    @rule(partition_id=partition_ids)
    def release(self, partition_id: PartitionId) -> None:
        """Let it move again."""
        self.held.pop(partition_id, None)

    # The joiners

    @rule(joiner=joiners, lost=st.sets(partition_ids))
    def learn(self, joiner: int, lost: set[PartitionId]) -> None:
        """Have a joiner read the newest heartbeat and ask for its partitions' ends; not all answer."""
        if self.heartbeat is not None:
            ends = {
                partition_id: len(self.sources[partition_id])
                for partition_id in self._owned(joiner)
                if partition_id not in lost
            }
            self.joiners[joiner].stage_1.note_heartbeat(self.heartbeat, ends)

    @rule(joiner=joiners, limit=st.integers(1, 3))
    def join(self, joiner: int, limit: int) -> None:
        """Have a joiner read rows, and commit what they change."""
        for partition_id in self._owned(joiner):
            begin = self.read[partition_id]
            end = min(begin + limit, self.held.get(partition_id, begin + limit))
            for change in self.sources[partition_id][begin:end]:
                self.internal[change.user % self.parts].append(change)
                self.read[partition_id] += 1

    @rule(joiner=joiners)
    def say(self, joiner: int) -> None:
        """Have a joiner say how far its partitions are, to every part of the internal topic."""
        positions = {partition_id: self.read[partition_id] for partition_id in self._owned(joiner)}
        moved = self.joiners[joiner].stage_1.advance(positions)
        if moved:
            for log in self.internal:
                log.append(encode_watermarks(moved))

    @rule(joiner=joiners, limit=st.integers(1, 4))
    def show(self, joiner: int, limit: int) -> None:
        """Have a joiner apply internal records, commit what they lead to, and then write heartbeats."""
        for part, owner in enumerate(self.owner_of_part):
            if owner != joiner:
                continue
            said = []
            for record in self.internal[part][self.applied[part] : self.applied[part] + limit]:
                self.applied[part] += 1
                if isinstance(record, Change):
                    self.user_info[record.user % self.partitions].append(record)
                else:
                    said.append(record)
            for times in said:
                time = self.joiners[joiner].stage_2.receive(part, decode_watermarks(times))
                if time is not None:
                    for partition in partitions_of(part, self.partitions, self.parts):
                        self.user_info[partition].append(Heartbeat(part, self.parts, time))

    @rule(limit=st.integers(1, 8))
    def go_on(self, limit: int) -> None:
        """Have everybody do some of what is to be done."""
        for joiner in range(JOINERS):
            self.join(joiner, limit)
            self.say(joiner)
        for joiner in range(JOINERS):
            self.show(joiner, limit)
        for partition in range(self.partitions):
            self.take(partition, limit)

    @rule()
    def pass_heartbeats(self) -> None:
        """Send a heartbeat, and have everybody do all that can be done."""
        self.beat_and_be_heard(set())
        self.go_on(100)

    @rule(data=st.data())
    def rebalance(self, data: st.DataObject) -> None:
        """Let partitions change hands; what was committed stays."""
        for partition_id in SOURCES:
            self.owner_of_source[partition_id] = data.draw(joiners)
        self.owner_of_part = [data.draw(joiners) for _ in range(self.parts)]

    @rule(joiner=joiners)
    def crash(self, joiner: int) -> None:
        """Have a joiner begin again, knowing nothing of heartbeats."""
        self.joiners[joiner] = Joiner(InternalWatermarks(SOURCES))

    # The reader

    @rule(partition=st.integers(0, 5), limit=st.integers(1, 4))
    def take(self, partition: int, limit: int) -> None:
        """Have the reader take records in."""
        if partition < self.partitions:
            begin = self.taken[partition]
            for record in self.user_info[partition][begin : begin + limit]:
                self.taken[partition] += 1
                if isinstance(record, Heartbeat):
                    told = parse_heartbeat(record.key, record.value)
                    assert record == told
                    self.freshness.note(partition, told)

    # What must hold

    @invariant()
    def no_reader_is_younger_than_what_it_lacks(self) -> None:
        """All that changed up to the time that a reader gives for a partition is in what it applied of it."""
        if not hasattr(self, "taken"):
            return
        made: defaultdict[int, set[Change]] = defaultdict(set)
        for changes in self.sources.values():
            for change in changes:
                made[change.user % self.partitions].add(change)
        for partition in range(self.partitions):
            time = self.freshness.time_ms(partition)
            if time is not None:
                expected = {change for change in made[partition] if change.time <= time}
                assert expected <= set(self.user_info[partition][: self.taken[partition]])

    @invariant()
    def what_is_held_up_ages_everybody(self) -> None:
        """No partition is younger than the oldest change that is unread in any source partition."""
        if not hasattr(self, "taken"):
            return
        unread = [
            changes[self.read[partition_id]].time
            for partition_id, changes in self.sources.items()
            if changes[self.read[partition_id] :]
        ]
        for partition in range(self.partitions):
            time = self.freshness.time_ms(partition)
            if time is not None and unread:
                assert time < min(unread)

    def teardown(self) -> None:
        """Once nothing is held and all is read, every partition is as young as the last heartbeat."""
        if not hasattr(self, "taken"):
            return
        self.held.clear()
        self.beat()
        for joiner in range(JOINERS):
            self.learn(joiner, set())
        rounds = sum(len(changes) for changes in self.sources.values()) + 1
        for _ in range(rounds):
            for joiner in range(JOINERS):
                self.join(joiner, 3)
        for joiner in range(JOINERS):
            self.say(joiner)
        for part in range(self.parts):
            self.show(self.owner_of_part[part], len(self.internal[part]) + 1)
        for partition in range(self.partitions):
            self.take(partition, len(self.user_info[partition]) + 1)
        assert self.freshness.oldest_ms == self.heartbeat

    def _owned(self, joiner: int) -> list[PartitionId]:
        return [partition_id for partition_id, owner in self.owner_of_source.items() if owner == joiner]


Group.TestCase.settings = settings(stateful_step_count=60)
test_heartbeats_never_overtake_the_data = Group.TestCase
