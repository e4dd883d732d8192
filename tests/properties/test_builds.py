"""A build shows nothing unfinished, whatever order of changes, notices, passes and crashes Kafka allows."""

from dataclasses import dataclass, field
from unittest import mock

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.core import checkpoint as checkpoint_module
from joiner.core.build import BUILD_KEY, STORED_KEY, Build, Notice, PartBuild, decode_notice, decode_part, find_rule
from joiner.core.checkpoint import CHANGES_KEY, Checkpoint
from joiner.core.users import UNCHANGED, Profile, Unchanged, UserChange, UserState, make_request_entry, render_record
from shared.records import PROFILE_COLUMNS
from tests.support.built_in import PLAN
from tests.support.cluster import DictStore

SOURCES = [("users", 0), ("likes", 0), ("likes", 1)]
USERS = ["a", "b", "c", "ä", "d" * 20]
OLD = {b"a": b"old a", b"gone": b"old gone"}

changes = st.tuples(st.just("change"), st.sampled_from(USERS), st.sampled_from(["raise", "lower", "name", "delete"]))
named = st.tuples(st.just("change"), st.sampled_from(USERS), st.just("name"))
announcements = st.tuples(st.just("announce"), st.sampled_from(SOURCES), st.just(""))
checkpoints = st.tuples(st.just("run"), st.integers(0, 4), st.sampled_from(["", "", "crashes"]))


@st.composite
def builds(draw: st.DrawFn) -> list[tuple[str, object, str]]:
    """Return what happens: before all sources are announced, which comes in the middle, and behind that."""
    before = draw(st.lists(st.one_of(named, changes, announcements, checkpoints), min_size=3, max_size=15))
    announced = [("announce", source, "") for source in draw(st.permutations(SOURCES))]
    behind = draw(st.lists(st.one_of(st.tuples(changes, checkpoints), st.tuples(checkpoints)), max_size=12))
    return [*before, ("run", len(before), ""), *announced, ("run", 3, ""), *(step for pair in behind for step in pair)]


@dataclass
class Part:
    """One part: its internal records, its store, what it writes; and a plain model of what it should hold.

    Args:
        build: the group's build.
        user_info: every record of user-info, those from before the build first.
    """

    build: Build
    user_info: list[tuple[bytes, bytes | None]]
    store: DictStore = field(default_factory=DictStore)
    internal: list[tuple[bytes, bytes]] = field(default_factory=list)
    consumed: int = 0
    before: int = field(init=False)
    joined: set[tuple[str, int]] = field(default_factory=set)
    model: dict[str, tuple[Profile | None, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Note which records are from before the build."""
        self.before = len(self.user_info)

    @property
    def part(self) -> PartBuild:
        """How far the build is, as it is committed."""
        return decode_part(self.store.get(STORED_KEY), self.build.id)

    def change(self, user_id: str, kind: str) -> None:
        """Have stage 1 pass a change on."""
        profile: Profile | Unchanged | None = UNCHANGED
        if kind in {"name", "delete"}:
            name = f"{user_id} {len(self.internal)}"
            profile = (name, *[None] * (len(PROFILE_COLUMNS) - 1)) if kind == "name" else None
        difference = {"raise": 1, "lower": -1}.get(kind, 0)
        entry = UserChange([difference, 0, 0, 0], profile, 1, 1).encode(user_id)
        self.internal.append((CHANGES_KEY, b"[" + entry + b"]"))

    def announce(self, *sources: tuple[str, int]) -> None:
        """Have a joiner announce source partitions that are joined."""
        self.internal.append((BUILD_KEY, Notice("x", sources, len(SOURCES)).encode()))

    def take_back(self) -> None:
        """Do what the joiner's thread does once the pass is over: perhaps for the second time."""
        latest = {key: number for number, (key, _) in enumerate(self.user_info)}
        old = [key for key, number in latest.items() if number < self.before and self.user_info[number][1] is not None]
        for key in old:
            entry = UserChange([0, 0, 0, 0], True, 1, 1)  # type: ignore[arg-type]  # as make_request_entry has it
            assert make_request_entry(key.decode(), 1)[4] is entry.profile
            self.internal.append((CHANGES_KEY, b"[" + entry.encode(key.decode()) + b"]"))
        self.internal.append((BUILD_KEY, Notice("x", taken_back=True).encode()))

    def run(self, count: int, *, crashes: bool = False) -> None:
        """Run a checkpoint that reads so many internal records; one that crashes leaves nothing behind."""
        checkpoint = Checkpoint(PLAN, self.build)
        store = DictStore()
        store.content = dict(self.store.content)
        read = self.internal[self.consumed : self.consumed + count]
        for offset, (key, value) in enumerate(read, self.consumed):
            if key == BUILD_KEY:
                checkpoint.take_notice(store, value)
            else:
                checkpoint.take_changes(store, offset, value)
        checkpoint.hold_part(store)
        records = [(record.key, record.value) for record in checkpoint.render_records()]
        checkpoint.save()
        if crashes:
            return
        before, self.store = self.part, store
        self.user_info += records
        self.consumed += len(read)
        for key, value in read:
            if key == CHANGES_KEY:
                self._apply(value)
            else:
                self.joined |= set(decode_notice(value).joined)
        changed = {str(entry[0]).encode() for key, value in read if key == CHANGES_KEY for entry in orjson.loads(value)}
        self._check_writes([key for key, _ in records], before, changed)

    def _check_writes(self, written: list[bytes], before: PartBuild, changed: set[bytes]) -> None:
        """See that a checkpoint writes no user twice, and of those unchanged only whom the pass has come to in it."""
        assert sorted(set(written)) == sorted(written)
        passed = {key for key in self.truth() if self.part.shows(key) and not before.shows(key)}
        assert passed <= set(written)
        assert set(written) <= passed | {key for key in changed if before.shows(key)}

    def _apply(self, pack: bytes) -> None:
        user_id, _, _, counts, profile = orjson.loads(pack)[0]
        if profile is True:
            return
        known, count = self.model.get(user_id, (None, 0))
        self.model[user_id] = (known if profile is False else profile, count + counts[0])

    def truth(self) -> dict[bytes, bytes]:
        """Return the record of each user of the model."""
        states = {
            user_id: UserState(tuple(profile), (count, 0, 0, 0))
            for user_id, (profile, count) in self.model.items()
            if profile is not None
        }
        return {user_id.encode(): render_record(PLAN, user_id, state) or b"" for user_id, state in states.items()}

    def check(self) -> None:
        """Compare what is written with the model."""
        fresh = dict(self.user_info[self.before :])
        served = {key: value for key, value in dict(self.user_info).items() if value is not None}
        truth = self.truth()
        if self.part.phase == "joining" or not set(SOURCES) <= self.joined:
            assert {} == fresh
        elif self.part.phase == "whole":
            assert truth == served
        else:
            assert {key: truth.get(key) for key in fresh} == fresh


@pytest.mark.parametrize("old", [{}, OLD])
@given(steps=builds(), limit=st.integers(1, 3))
def test_what_is_written_is_whole_at_every_commit(
    old: dict[bytes, bytes], steps: list[tuple[str, object, str]], limit: int
) -> None:
    """Nothing while joining; then each user as the model has it at that moment; at the end all users, and no others."""
    part = Part(Build("x", bool(old), {0: len(old)} if old else {}), list(old.items()))
    with mock.patch.object(checkpoint_module, "PASS_USERS", limit):
        for name, what, how in steps:
            match name, what:
                case "change", str(user_id):
                    part.change(user_id, how)
                case "announce", (str(topic), int(number)):
                    part.announce((topic, number))
                case "run", int(count):
                    part.run(count, crashes=how == "crashes")
                    part.check()
        part.announce(*SOURCES)
        while part.part.phase in {"joining", "writing"}:
            part.run(1)
            part.check()
        if part.part.phase == "taking-back":
            part.take_back()
            part.take_back()
        while part.consumed < len(part.internal):
            part.run(1)
            part.check()
    assert "whole" == part.part.phase
    part.change("a", "name")
    part.run(1)
    part.check()


@given(steps=builds())
def test_first_build_writes_each_user_once(steps: list[tuple[str, object, str]]) -> None:
    """However often its rows changed meanwhile."""
    part = Part(Build("x"), [])
    for name, what, how in steps:
        if name == "change" and isinstance(what, str):
            part.change(what, how)
    part.run(len(part.internal))
    part.announce(*SOURCES)
    part.run(1)
    assert sorted(part.truth().items()) == sorted(part.user_info)


def test_a_notice_of_another_build_changes_nothing() -> None:
    """A joiner that was paused before a reset may still announce what it had joined."""
    begun = PartBuild("x")
    assert begun == begun.receive(Notice("y", SOURCES, len(SOURCES)))
    assert begun == begun.receive(Notice("x", taken_back=True))


def row(snapshot: object, name: str = "shop") -> dict[str, object]:
    """Return an envelope of a connector."""
    return {"op": "r", "after": {}, "source": {"snapshot": snapshot, "name": name}}


@pytest.mark.parametrize(
    ("newest", "rule"),
    [
        ([], "ends"),
        ([(1, {"user_id": 1})], "ends"),
        ([(1, row("first")), (2, row("true"))], None),
        ([(1, row("true")), (2, row("last_in_data_collection"))], None),
        ([(1, row("true")), (2, row("last"))], "snapshot"),
        ([(2, row("last")), (2, row("true"))], "snapshot"),
        ([(1, row("true")), (2, row("false"))], "snapshot"),
        ([(1, row(True)), (2, row("last", "other"))], None),
    ],
)
def test_a_snapshot_is_over_once_its_connectors_newest_row_says_so(
    newest: list[tuple[int, dict[str, object]]], rule: str | None
) -> None:
    """Tables come one after the other, and other connectors may be further."""
    assert rule == find_rule(newest)
