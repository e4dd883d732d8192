"""Kafka's transactions may be torn: a late EndTxn ends a later transaction, and keeps a part of a checkpoint.

Joiners run the real pure functions over a small Kafka. With the guard (`joiner.core.epochs`) none is torn, and
user-info equals the truth. Without it, the chain (`joiner.core.chain`) has the joiners end; they never show a wrong
count without a word. One tear is left out there: all records of a transaction aborted, and its offsets committed in
one of their own. What follows from it is noticed by the joiner's next pack, and not at all if it dies before that.
"""

from typing import Any

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from joiner.core.users import UserState, render_record
from shared.errors import StateError
from shared.topics import partition_of
from tests.support.built_in import PLAN
from tests.support.small_joiners import CHANGES, EVERYTHING, LOGS, NEVER, PARTS, STORED, Joiner
from tests.support.small_kafka import Entry, SmallKafka

NAMES = ("a", "b", "c", "d")


class Machine(RuleBasedStateMachine):
    """Two joiners, rows that change, and a network that repeats what it likes."""

    has_guard = True

    def __init__(self) -> None:
        """Begin with two joiners that share the partitions."""
        super().__init__()
        self.kafka = SmallKafka()
        self.joiners = [Joiner(self.kafka, f"joiner-{number}", has_guard=self.has_guard) for number in range(2)]
        self.rows: dict[str, str | None] = {}
        self.users: dict[str, str | None] = {}
        self.refusal: StateError | None = None
        self.drains = 0
        self.share(0b01011)

    def share(self, mask: int) -> None:
        """Assign each partition to one of the joiners."""
        for number, joiner in enumerate(self.joiners):
            joiner.assign(())
            if joiner.is_dead:
                joiner.start(())
            joiner.assign(tuple(log for place, log in enumerate(LOGS) if (mask >> place & 1) == number))

    @rule(row=st.sampled_from("0123"), owner=st.sampled_from([*NAMES, None]))
    def write_like(self, row: str, owner: str | None) -> None:
        """Change a like, or delete it."""
        self.rows[row] = owner
        value = None if owner is None else orjson.dumps({"like_id": row, "user_id": owner})
        self.kafka.logs[f"likes/{int(row) % 2}"].append(Entry(row.encode(), value, fate="committed"))

    @rule(name=st.sampled_from(NAMES), text=st.sampled_from(["x", "y", None]))
    def write_user(self, name: str, text: str | None) -> None:
        """Change a user, or delete it."""
        self.users[name] = text
        value = None if text is None else orjson.dumps({"user_id": name, "username": text})
        self.kafka.logs["users/0"].append(Entry(name.encode(), value, fate="committed"))

    @precondition(lambda self: self.refusal is None)
    @rule(
        number=st.integers(0, 1),
        most=st.sampled_from([1, 2, EVERYTHING]),
        fate=st.sampled_from(["commits", "repeats", "repeats", "aborts", "is not told", "crashes"]),
        late_at=st.integers(NEVER, 8),
    )
    def run_joiner(self, number: int, most: int, fate: str, late_at: int) -> None:
        """Run a checkpoint of a joiner; one that was killed is started first."""
        joiner = self.joiners[number]
        if joiner.is_dead:
            joiner.restart()
        try:
            joiner.run(most, fate, late_at)
        except StateError as refusal:
            self.refusal = refusal

    @precondition(lambda self: self.refusal is None)
    @rule(number=st.integers(0, 1), owner=st.sampled_from(NAMES), late_at=st.integers(0, 8))
    def disturb(self, number: int, owner: str, late_at: int) -> None:
        """Repeat the end of one checkpoint, and have it arrive in the middle of the next."""
        for place, (row, fate, at) in enumerate([("0", "repeats", NEVER), ("1", "commits", late_at)]):
            self.write_like(row, owner if place else None)
            self.write_like(str(int(row) + 2), owner)
            if self.refusal is None:
                self.run_joiner(number, EVERYTHING, fate, at)

    @rule(mask=st.integers(0, 2 ** len(LOGS) - 1))
    def rebalance(self, mask: int) -> None:
        """Have partitions move."""
        self.share(mask)

    @rule()
    def forget(self) -> None:
        """Compact what is compacted, and delete what is consumed."""
        for log in STORED:
            self.kafka.compact(f"changelog {log}")
        for log in CHANGES:
            self.kafka.trim(log)

    @precondition(lambda self: self.refusal is None)
    @rule()
    def drain(self) -> None:
        """Join all that there is, with a row more in each chain, and compare."""
        self.kafka.late.clear()
        for joiner in self.joiners:
            if joiner.is_dead:
                joiner.restart()
        self.drains += 1
        targets = {partition_of(name.encode(), PARTS): name for name in NAMES}
        for source in (0, 1):
            for part, name in sorted(targets.items()):
                row = f"{self.drains}-{source}-{part}"
                self.rows[row] = name
                value = orjson.dumps({"like_id": row, "user_id": name})
                self.kafka.logs[f"likes/{source}"].append(Entry(row.encode(), value, fate="committed"))
        try:
            while self.joiners[0].run() | self.joiners[1].run():
                pass
        except StateError as refusal:
            self.refusal = refusal
        else:
            assert self.truth() == self.shown()

    def truth(self) -> dict[str, bytes | None]:
        """Return what SQL would say."""
        return {
            name: render_record(PLAN, name, UserState((text, *[None] * 7), (0, 0, 0, self._likes(name))))
            for name, text in self.users.items()
            if text is not None
        }

    def _likes(self, name: str) -> int:
        return sum(owner == name for owner in self.rows.values())

    def shown(self) -> dict[str, bytes | None]:
        """Return what a reader would hold."""
        entries = [entry for entry in self.kafka.logs["user-info"] if entry is not None and entry.fate == "committed"]
        latest = {entry.key.decode(): entry.value for entry in entries}
        return {name: value for name, value in latest.items() if value is not None}

    def teardown(self) -> None:
        """Compare a last time; who has ended had a reason, and with the guard nobody has."""
        if self.refusal is None:
            self.drain()
        if self.has_guard:
            assert not self.kafka.tore
        assert self.refusal is None or self.kafka.tore


class MachineWithoutGuard(Machine):
    """The same where each late request finds the epoch that it was sent under."""

    has_guard = False


def test_what_a_torn_checkpoint_has_shown_is_shown_right_afterwards() -> None:
    """Also where changes have taken it back by the time that they are applied again."""
    machine = MachineWithoutGuard()
    machine.share(0b00111)
    owner_of_changes, owner_of_rows = machine.joiners
    machine.write_user("a", "x")
    machine.write_like("0", "b")
    owner_of_rows.run()
    owner_of_changes.run(fate="repeats")
    machine.write_like("1", "a")
    owner_of_rows.run()
    owner_of_changes.run(late_at=1)
    assert machine.kafka.tore
    machine.write_like("1", None)
    owner_of_rows.run()
    owner_of_changes.run()
    assert machine.truth() == machine.shown()


TestTransactions: Any = Machine.TestCase
TestTransactionsWithoutGuard: Any = MachineWithoutGuard.TestCase
TestTransactions.settings = TestTransactionsWithoutGuard.settings = settings(stateful_step_count=25)
