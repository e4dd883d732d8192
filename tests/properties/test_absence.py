"""A client that goes from reader to reader and sends back what headers said: no answer is older than one before it."""

import json
from dataclasses import dataclass, field
from functools import partial

from hypothesis import event, given
from hypothesis import strategies as st

from reader.http.conditions import NO_CONDITIONS, Conditions
from reader.http.updates import NOTHING_KNOWN, find_update, parse_last_event_id
from reader.http.users import UserResponses
from reader.storage.read_view import StoredRecord
from replication.readiness import Readiness
from shared.topics import partition_of
from tests.support.read_views import DictReadView

READY = Readiness("ready", serves=True)
PARTITIONS = 2
USERS = [b"alice", b"bob", b"carol"]
READERS = 2

Ask = tuple[int, str, list[bytes]]
"""A reader, how it is asked, and for whom."""

Log = list[tuple[int, bytes, bool]]
"""A partition: offset, user, and whether the record is one (or a tombstone), ascending with gaps."""


@dataclass
class Topic:
    """A topic, and how far each reader has applied it."""

    logs: list[Log] = field(default_factory=lambda: [[] for _ in range(PARTITIONS)])
    ends: list[int] = field(default_factory=lambda: [0] * PARTITIONS)
    applied: list[list[int]] = field(default_factory=lambda: [[0] * PARTITIONS for _ in range(READERS)])

    def write(self, user: bytes, *, exists: bool, gap: int) -> None:
        """Append a record or a tombstone, behind a gap as of markers and compaction."""
        partition = partition_of(user, PARTITIONS)
        offset = self.ends[partition] + gap
        self.logs[partition].append((offset, user, exists))
        self.ends[partition] = offset + 1

    def advance(self, reader: int, partition: int, offsets: int) -> None:
        """Have a reader apply some more."""
        self.applied[reader][partition] = min(self.ends[partition], self.applied[reader][partition] + offsets)

    def newest(self, reader: int, user: bytes) -> tuple[int, bool]:
        """Return the offset of the newest that a reader has of a user, and whether it is a record, not a tombstone."""
        partition = partition_of(user, PARTITIONS)
        known = [one for one in self.logs[partition] if one[0] < self.applied[reader][partition] and one[1] == user]
        return (known[-1][0], known[-1][2]) if known else (-1, False)

    def view(self, reader: int) -> DictReadView:
        """Return what a reader holds."""
        found = {user: (partition_of(user, PARTITIONS), *self.newest(reader, user)) for user in USERS}
        records = {
            user: StoredRecord(partition, offset, 0, b'{"userId":"%b"}' % user)
            for user, (partition, offset, exists) in found.items()
            if exists
        }
        positions = {partition: offset for partition, offset in enumerate(self.applied[reader]) if offset}
        return DictReadView(records, positions, partitions=PARTITIONS)


readers = st.integers(0, READERS - 1)
users = st.sampled_from(USERS)
writes = st.tuples(users, st.booleans(), st.integers(0, 1))
progress = st.lists(st.sampled_from([0, 0, 1, 2, 9]), min_size=READERS, max_size=READERS)
asks = st.lists(
    st.tuples(readers, st.sampled_from(["one", "several", "events"]), st.lists(users, min_size=1, max_size=2)),
    max_size=3,
)
turns = st.lists(st.tuples(writes, progress, asks), min_size=2, max_size=20)
"""Of each turn: a record or tombstone is written, readers apply some offsets more, and a client asks some of them."""


@dataclass
class Client:
    """One client: what headers have told it, and the offset of the newest version that it saw of each user."""

    topic: bytes = b""
    seen: dict[int, int] = field(default_factory=dict)
    versions: dict[bytes, int] = field(default_factory=dict)
    event_ids: dict[bytes, bytes] = field(default_factory=dict)

    def conditions(self) -> Conditions:
        """Return all that headers have told it, as it sends it back."""
        pairs = b", ".join(b"%d:%d:%b" % (*pair, self.topic) for pair in self.seen.items())
        return Conditions(if_min_offset=pairs) if pairs else NO_CONDITIONS

    def note(self, headers: dict[bytes, bytes]) -> None:
        """Note a response's User-Info-Offset, if it has one, and User-Info-Topic."""
        self.topic = headers[b"user-info-topic"]
        for pair in headers.get(b"user-info-offset", b"").split(b", "):
            partition, colon, offset = pair.partition(b":")
            if colon:
                self.seen[int(partition)] = max(int(offset), self.seen.get(int(partition), -1))

    def see(self, user: bytes, offset: int) -> None:
        """See a version of a user, which must not be older than one before."""
        assert offset >= self.versions.get(user, -1)
        self.versions[user] = offset


def ask(topic: Topic, client: Client, reader: int, users: list[bytes], *, single: bool) -> None:
    """Ask a reader; what it answers is what it holds, and not older than what the client has seen."""
    responses = UserResponses(lambda: topic.view(reader), lambda: READY, lambda _: None)
    query = b"&".join(b"id=" + user for user in users)
    conditions = client.conditions()
    response = responses.get_user(users[0], conditions) if single else responses.get_users(query, conditions)
    if response.status == 503:
        event("behind")
        return
    document = json.loads(response.body)
    for user in users[:1] if single else users:
        offset, exists = topic.newest(reader, user)
        said = response.status == 200 if single else user.decode() not in document["missing"]
        assert exists == said
        client.see(user, offset)
    client.note(dict(response.headers()))


def listen(topic: Topic, client: Client, reader: int, user: bytes) -> None:
    """Come back to a reader with the id of the last event; what it sends is newer than that."""
    last = client.event_ids.get(user)
    update = find_update(topic.view(reader), user, NOTHING_KNOWN if last is None else parse_last_event_id(last))
    if update is None:
        return
    sent = update.known.event_id
    if sent is None:
        assert not topic.applied[reader][partition_of(user, PARTITIONS)]
        return
    offset, exists = topic.newest(reader, user)
    assert exists == (update.found is not None)
    assert last is None or sent.offset > int(last.split(b":")[1])
    assert offset <= sent.offset
    client.event_ids[user] = b"%d:%d:%b" % (sent.partition, sent.offset, sent.tag or b"")


@given(turns)
def test_answers_never_go_back_absence_included(
    turns: list[tuple[tuple[bytes, bool, int], list[int], list[Ask]]],
) -> None:
    """However records, deletions and readers' progress interleave: present or absent, one or several, streamed."""
    topic, client = Topic(), Client()
    for (user, exists, gap), offsets, asked in turns:
        topic.write(user, exists=exists, gap=gap)
        for reader, some in enumerate(offsets):
            for partition in range(PARTITIONS):
                topic.advance(reader, partition, some)
        for reader, kind, wanted in asked:
            if kind == "events":
                listen(topic, client, reader, wanted[0])
            else:
                ask(topic, client, reader, wanted, single=kind == "one")


def test_absence_seen_is_not_followed_by_an_older_presence() -> None:
    """The case in short: one reader has applied a deletion, the other has not."""
    for several in (False, True):
        topic, client = Topic(), Client()
        partition = partition_of(b"alice", PARTITIONS)
        topic.write(b"alice", exists=True, gap=0)
        topic.write(b"alice", exists=False, gap=0)
        topic.advance(0, partition, 2)
        topic.advance(1, partition, 1)
        ask(topic, client, 0, [b"alice"], single=not several)
        assert {partition: 1} == client.seen
        assert {b"alice": 1} == client.versions
        late = UserResponses(partial(topic.view, 1), lambda: READY, lambda _: None)
        assert 503 == late.get_user(b"alice", client.conditions()).status
        assert 200 == late.get_user(b"alice").status
