"""A build: joining all that the sources held when it began, before any of it is shown.

Decides for each part (partition of the internal topic) whether its users' records may be written. A part first joins:
nothing of it is written until every source partition was announced as joined up to the build's ends, in order behind
the changes. Then it writes every user once, in the order of their ids, in passes that each checkpoint bounds; a change
of a user behind the cursor is written as ever, one before it is left to the pass. Where records from before the build
may be of users that are gone, they are taken back next. Then the part is whole, for good. All of that is stored with
the users' states, in the same transaction, so that crashes and rebalances need nothing else. Pure: no Kafka, no clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import orjson

from joiner.core.records import PartitionId

BUILD_KEY = b"build"
"""Key of an internal record that says how far a build is, and holds no changes."""

STORED_KEY = b"\xffbuild"
"""Stored next to the users' states: how far the part is. No user id in UTF-8 begins with this byte."""

Phase: TypeAlias = Literal["joining", "writing", "taking-back", "whole"]


@dataclass(frozen=True, slots=True)
class Build:
    """What a group notes of a build in its ledger.

    Args:
        id: names the build: that of the internal topic, which every build has to itself.
        whole: True if user-info held whole values when it began; they are served until it ends.
        user_info_ends: for each partition of user-info, its end when it began: records before it may be of users that
            are gone. Empty: there are none.
        rule: how it was found out that the sources are whole.
        ends: source partition -> the offset up to which it must be joined; None: the sources are not whole yet.
    """

    id: str
    whole: bool = False
    user_info_ends: Mapping[int, int] = field(default_factory=dict)
    rule: str | None = None
    ends: Mapping[PartitionId, int] | None = None

    def encode(self) -> bytes:
        """Return the note as the ledger holds it: a JSON object; `decode_build` reads it."""
        ends = None if self.ends is None else [[*each, end] for each, end in self.ends.items()]
        user_info_ends = sorted(self.user_info_ends.items())
        document = {"id": self.id, "whole": self.whole, "userInfo": user_info_ends, "rule": self.rule, "ends": ends}
        return orjson.dumps(document)


def decode_build(noted: bytes) -> Build:
    """Return the build that `Build.encode` wrote."""
    document = orjson.loads(noted)
    ends = document["ends"]
    return Build(
        document["id"],
        document["whole"],
        dict(document["userInfo"]),
        document["rule"],
        None if ends is None else {(topic, partition): end for topic, partition, end in ends},
    )


class PartBuild(NamedTuple):
    """How far one part is.

    Args:
        build: the build's id.
        phase: what is being done.
        joined: while joining, the source partitions that are.
        cursor: while writing, the id up to which users are written; "" before the first.
    """

    build: str
    phase: Phase = "joining"
    joined: frozenset[PartitionId] = frozenset()
    cursor: str = ""

    def shows(self, user_id: bytes) -> bool:
        """Return whether a change of a user is written by itself, not by the pass."""
        return self.phase in {"taking-back", "whole"} or (
            self.phase == "writing" and self.cursor != "" and user_id <= self.cursor.encode()
        )

    def encode(self) -> bytes:
        """Return it as it is stored: a JSON array; `decode_part` reads it."""
        return orjson.dumps([self.build, self.phase, sorted(self.joined), self.cursor])

    def pass_users(self, last: bytes | None, *, takes_back: bool) -> "PartBuild":
        """Return the part after a piece of its pass.

        Args:
            last: the last user that was written; None: there are no more.
            takes_back: True if records from before the build may be of users that are gone.
        """
        if last is not None:
            return self._replace(cursor=last.decode())
        return PartBuild(self.build, "taking-back" if takes_back else "whole")

    def receive(self, notice: "Notice") -> "PartBuild":
        """Return the part after a notice that it has read."""
        if notice.build != self.build:
            return self
        if self.phase == "taking-back" and notice.taken_back:
            return PartBuild(self.build, "whole")
        if self.phase != "joining":
            return self
        joined = self.joined | frozenset(notice.joined)
        if notice.sources and len(joined) >= notice.sources:
            return PartBuild(self.build, "writing")
        return self._replace(joined=joined)


def decode_part(stored: bytes | None, build: str) -> PartBuild:
    """Return the part that `PartBuild.encode` wrote; one that has just begun where another build's, or none, is stored.

    Args:
        stored: as stored; None: nothing is.
        build: the id of the group's build.
    """
    if stored is not None:
        noted, phase, joined, cursor = orjson.loads(stored)
        if noted == build:
            return PartBuild(noted, phase, frozenset((topic, partition) for topic, partition in joined), cursor)
    return PartBuild(build)


class Notice(NamedTuple):
    """What an internal record under BUILD_KEY says to the part that it is in.

    Args:
        build: the build's id.
        joined: source partitions all of whose changes up to the build's ends lie before it.
        sources: how many source partitions there are.
        taken_back: True where requests for all records from before the build lie before it.
    """

    build: str
    joined: Iterable[PartitionId] = ()
    sources: int = 0
    taken_back: bool = False

    def encode(self) -> bytes:
        """Return the notice as it travels: a JSON array; `decode_notice` reads it."""
        return orjson.dumps([self.build, sorted(self.joined), self.sources, self.taken_back])


def decode_notice(value: bytes) -> Notice:
    """Return the notice that `Notice.encode` wrote."""
    build, joined, sources, taken_back = orjson.loads(value)
    return Notice(build, [(topic, partition) for topic, partition in joined], sources, taken_back)


def find_rule(newest: Iterable[tuple[int, Mapping[str, Any]]]) -> str | None:
    """Return what says that sources are whole where no heartbeats do; None while a snapshot is being written.

    Debezium marks the rows of a snapshot, and its last one. A connector writes one table after the other, so the newest
    record of all that it has written decides.

    Args:
        newest: of each source partition, the newest records that hold a row: (timestamp in epoch ms, document).
    """
    connectors: dict[object, tuple[int, bool]] = {}
    marked = False
    for time_ms, document in newest:
        source = document.get("source")
        if not isinstance(source, dict) or "snapshot" not in source:
            continue
        in_snapshot = str(source["snapshot"]).lower() in {
            "true",
            "first",
            "first_in_data_collection",
            "last_in_data_collection",
        }
        marked = True
        # Of records of the same time, the one that ends the snapshot is the newest.
        name = source.get("name")
        connectors[name] = max(connectors.get(name, (time_ms, not in_snapshot)), (time_ms, not in_snapshot))
    if any(not ended for _, ended in connectors.values()):
        return None
    return SNAPSHOT if marked else ENDS


HEARTBEAT = "heartbeat"
SNAPSHOT = "snapshot"
ENDS = "ends"

RULES = {
    HEARTBEAT: "a heartbeat of the source's connector has come since the build began",
    SNAPSHOT: "no connector's newest row is from the middle of a snapshot",
    ENDS: "the source topics say nothing of snapshots, so what they held when the build began counts as all",
}
"""What each rule says of the sources, for people."""


class BuildMeter:
    """Measures how much of the sources is joined, and how long the rest will take at the pace so far."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None

    def measure(
        self, now: float, ends: Mapping[PartitionId, int], positions: Mapping[PartitionId, int]
    ) -> tuple[float, float | None]:
        """Return percent, and seconds left or None where no pace is known.

        Args:
            now: the time in seconds, on a clock that never goes back.
            ends: source partition -> the offset up to which it must be joined.
            positions: the next offset of each partition that this process reads; others are taken to be as far.
        """
        own = {each: end for each, end in ends.items() if each in positions}
        total = sum(own.values())
        done = sum(min(end, positions[each]) for each, end in own.items()) / total if total else 1.0
        if self._first is None or done < self._first[1]:
            self._first = (now, done)
        since, before = self._first
        seconds = (1 - done) * (now - since) / (done - before) if done > before else None
        return round(JOINING_PERCENT * done, 1), None if seconds is None else round(seconds, 1)


JOINING_PERCENT = 90.0
"""How much of a build the joining is; the rest is writing each user once."""

WRITING_PERCENT = 95.0
TAKING_BACK_PERCENT = 99.0
