"""A reader through builds, against a plain model: it serves whole values only, and once it does it never stops."""

import shutil
import tempfile
from pathlib import Path
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reader.replication.copy_writer import CopyWriter
from reader.status.counters import ApplyCounters
from reader.storage.records import FORMAT
from reader.storage.store import Store
from replication.batch import Batch
from replication.compatibility import CopyIdentity
from replication.kafka.topic_reader import TopicReader
from replication.positions import Bounds, Positions
from replication.records import Record
from replication.session import ReplicationSession
from replication.topic_monitor import TopicMonitor
from shared.builds import BuildMark, parse_mark
from shared.parts import partitions_of
from shared.shards import Share
from shared.topics import partition_of

PARTITIONS, PARTS = 2, 4
USERS = [b"%d" % number for number in range(8)]
"""They exist all the while: a reader that serves may call none of them unknown."""

amounts = st.lists(st.integers(0, 9), min_size=PARTITIONS, max_size=PARTITIONS)
parts = st.integers(0, PARTS - 1)


class Topic:
    """The topic, and the joiner that writes it: each part marks its build, writes its users once, and marks its end."""

    def __init__(self) -> None:
        self.logs: list[list[Record]] = [[] for _ in range(PARTITIONS)]
        self.left: list[list[bytes]] = [[] for _ in range(PARTS)]
        self.whole = [True] * PARTS
        self.builds = 0

    def append(self, partition: int, key: bytes, value: bytes) -> None:
        """Write a record."""
        log = self.logs[partition]
        log.append(Record(key, value, partition, len(log), 0))

    def mark(self, part: int) -> None:
        """Write how far a part is."""
        left, whole = len(self.left[part]), self.whole[part]
        mark = BuildMark(part, PARTS, f"b{self.builds}", whole, None if whole else 100 / (1 + left))
        for partition in partitions_of(part, PARTITIONS, PARTS):
            self.append(partition, mark.key, mark.value)

    def begin(self) -> None:
        """Begin a build from scratch, for the first time or because the state was lost."""
        self.builds += 1
        self.whole = [False] * PARTS
        self.left = [[user for user in USERS if partition_of(user, PARTS) == part] for part in range(PARTS)]
        for part in range(PARTS):
            self.mark(part)

    def show(self, user: bytes) -> None:
        """Write a user's record."""
        self.append(partition_of(user, PARTITIONS), user, b"value %d" % self.builds)

    def ends(self) -> dict[int, int]:
        """Return where the partitions end."""
        return {partition: len(log) for partition, log in enumerate(self.logs)}

    def read(self, offsets: dict[int, int], amounts: list[int]) -> Batch:
        """Return what follows some offsets."""
        taken = [log[offsets.get(p, 0) :][: amounts[p]] for p, log in enumerate(self.logs)]
        following = {p: some[-1].offset + 1 for p, some in enumerate(taken) if some}
        everything = [record for some in taken for record in some]
        marks = [record for record in everything if parse_mark(record.key, record.value)]
        return Batch([record for record in everything if record not in marks], following, set(), marks=marks)


class Monitor:
    """The topic stays the same one, and nobody asks where it ends."""

    silence = None

    def confirm(self) -> bool:
        """Confirm it."""
        return True

    def is_due(self, _: float) -> bool:
        """Check nothing."""
        return False

    def poll_ends(self) -> None:
        """Know nothing."""


class Source:
    """Gives a session the batch that it was told to."""

    batch = Batch([], {}, set())

    def read_batch(self, *_: object, **__: object) -> Batch:
        """Return it."""
        return self.batch


class BuildMachine(RuleBasedStateMachine):
    """One reader's copy while joiners build the topic, lose their state, and build it again."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="builds-"))
        self.store = Store(self.folder)
        self.store.write_notes(identity=CopyIdentity("cluster", "t1", PARTITIONS, FORMAT).to_note(), begun=1)
        self.topic = Topic()
        self.source = Source()
        self.has_served = False

    @initialize()
    def start(self) -> None:
        """Start the reader, at any moment: what it must reach is what the topic holds now."""
        start = dict.fromkeys(range(PARTITIONS), 0) | self.store.offsets()
        self.session = ReplicationSession(
            cast("TopicReader", self.source),
            cast("TopicMonitor", Monitor()),
            CopyWriter(self.store, Share(PARTITIONS), lambda function: function(), ApplyCounters()),
            Positions(start, Bounds(dict.fromkeys(start, 0), self.topic.ends())),
            trusted=self.store.complete,
            replaces=False,
            retention_seconds=3600,
        )

    @rule()
    def restart(self) -> None:
        """Kill the reader and start it again."""
        self.store.close()
        self.store = Store(self.folder)
        self.start()

    @rule()
    def begin_build(self) -> None:
        """Have joiners build the topic from scratch, also in the middle of another build."""
        self.topic.begin()

    @precondition(lambda self: self.topic.builds)
    @rule(part=parts)
    def go_on(self, part: int) -> None:
        """Write a part's next user, or behind the last one its mark."""
        if self.topic.left[part]:
            self.topic.show(self.topic.left[part].pop())
        else:
            self.topic.whole[part] = True
            self.topic.mark(part)

    @precondition(lambda self: self.topic.builds)
    @rule(part=parts)
    def say_progress(self, part: int) -> None:
        """Repeat a part's mark."""
        self.topic.mark(part)

    @precondition(lambda self: self.topic.builds)
    @rule(user=st.sampled_from(USERS))
    def change(self, user: bytes) -> None:
        """Change a user: while its part is being built that is left to the build."""
        if self.topic.whole[partition_of(user, PARTS)]:
            self.topic.show(user)

    @precondition(lambda self: self.topic.builds)
    @rule()
    def finish_build(self) -> None:
        """Go on to the end."""
        for part in range(PARTS):
            while not self.topic.whole[part]:
                self.go_on(part)

    @rule(amounts=amounts)
    def read(self, amounts: list[int]) -> None:
        """Read a batch, and apply it."""
        self.source.batch = self.topic.read(self.store.offsets(), amounts)
        assert self.session.step(serving=self.session.caught_up)
        if self.session.caught_up and not self.has_served:
            self.session.save()  # as the replicator does before it serves
            self.has_served = True

    @rule()
    def read_all(self) -> None:
        """Read everything: the reader serves if all is whole, or it ever did."""
        self.read([10**6] * PARTITIONS)
        is_whole = bool(self.topic.builds) and all(self.topic.whole)
        assert (is_whole or self.has_served) == self.session.caught_up
        assert self.session.caught_up == (self.session.unfinished is None)

    @invariant()
    def no_user_is_called_unknown(self) -> None:
        """Hold every user, whenever it serves."""
        if self.has_served:
            assert [] == [user for user in USERS if self.store.body(user) is None]
            assert self.store.complete

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.store.close()
        shutil.rmtree(self.folder)


TestBuilds: Any = BuildMachine.TestCase
# A quarter of what other properties get: each example writes to a disk.
TestBuilds.settings = settings(max_examples=settings().max_examples // 4, stateful_step_count=40)
