"""What the poller decides without a server: how far it has read, what its state is worth, the statements it runs."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.core.beats import Beat, is_streamed, read_beat
from poller.columns import Column, to_value_sql
from poller.health import STUCK_SECONDS, Health
from poller.horizon import MOST_POLLS, Horizon, encode_beat
from poller.polling import FOLLOWING
from poller.settings import PollerSettings
from poller.start import fit_database
from poller.state import Progress, State
from poller.tables import installation
from shared.errors import SettingError, StateError
from shared.settings import read_settings
from shared.view.model import BUILT_IN
from tests.support.programs import ROOT


@pytest.fixture
def state(tmp_path: Path) -> State:
    """Give an empty state that knows one topic."""
    made = State(tmp_path)
    made.begin_topic("users", "id-1", 3)
    return made


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 3)), max_size=40))
def test_nothing_is_promised_that_is_not_read(transactions: list[tuple[int, int]]) -> None:
    """Whatever is committed before the time that is reached has an id below those that still run.

    Each pair is a transaction: how many polls it runs for, and how many polls pass before the next one begins.
    """
    begins, polls = [], 0
    for lasts, pause in transactions:
        begins.append((polls, polls + lasts))
        polls += pause
    horizon = Horizon()
    for now in range(polls + 10):
        running = [number for number, (begin, end) in enumerate(begins) if begin <= now < end]
        ended = [number for number, (_, end) in enumerate(begins) if end <= now]
        following = max(ended, default=-1) + 1
        oldest = min([*running, max(following, sum(begin <= now for begin, _ in begins))])
        horizon.advance(now, oldest, following)
        reached = horizon.reached_ms
        committed = [number for number, (_, end) in enumerate(begins) if reached is not None and end <= reached]
        assert all(number < oldest for number in committed)
    assert polls + 9 == horizon.reached_ms


def test_a_transaction_that_never_ends_costs_no_memory() -> None:
    """Polls are kept in mind up to a number; what was reached before stands."""
    horizon = Horizon()
    horizon.advance(1, 10, 10)
    for number in range(2 * MOST_POLLS):
        horizon.advance(100 + number, 10, 11 + number)
    assert 1 == horizon.reached_ms
    horizon.advance(900_000, 10**6, 10**6)
    assert 900_000 == horizon.reached_ms


def test_joiners_read_its_heartbeats() -> None:
    """The first one says that no old rows are still on their way."""
    _, value = encode_beat(1_700_000_000_000)
    assert Beat(1_700_000_000_000) == read_beat(value, 1_800_000_000_000, accepts_own=False)
    assert is_streamed(value)


def test_the_state_is_all_of_a_commit_or_nothing(state: State, tmp_path: Path) -> None:
    """Cursor, keys, positions and notes are there again after a start."""
    assert state.cursor("users") is None
    progress = Progress({"users": ["7", "1"]}, {("users", b"1"): True, ("users", b"2"): True}, {"note": "x"})
    state.save(progress, {("users", 0): 5})
    state.save(Progress(present={("users", b"2"): False}), {("users", 1): 3})
    writer = state.writer
    state.close()
    again = State(tmp_path)
    assert (["7", "1"], {0: 5, 1: 3}, "x", writer) == (
        again.cursor("users"),
        again.positions("users"),
        again.note("note"),
        again.writer,
    )
    assert (True, False) == (again.knows("users", b"1"), again.knows("users", b"2"))
    again.close()


def test_keys_that_no_row_has_are_found(state: State) -> None:
    """However the rows come, and while what is found is being deleted."""
    state.save(Progress(present={("users", b"%d" % number): True for number in range(100)}), {})
    state.save(Progress(present={("likes", b"500"): True}), {})
    missing = []
    for key in state.find_missing("users", (b"%d" % number for number in range(150) if number % 7)):
        missing.append(key)
        state.save(Progress(present={("users", key): False}), {})
    assert sorted(b"%d" % number for number in range(0, 100, 7)) == missing
    assert [] == list(state.find_missing("users", (b"%d" % number for number in range(1, 150))))
    state.close()


def test_another_topic_of_the_same_name_begins_empty(state: State) -> None:
    """What was read is not in it."""
    state.save(Progress({"users": ["7", "1"]}, {("users", b"1"): True}), {("users", 0): 5})
    state.begin_topic("users", "id-2", 3)
    assert (None, {}, False) == (state.cursor("users"), state.positions("users"), state.knows("users", b"1"))
    state.close()


def test_rows_that_look_otherwise_are_all_sent_again(state: State) -> None:
    """A new column has a value in old rows, too."""
    state.begin_table("users", "a")
    state.save(Progress({"users": ["7", "1"]}), {})
    state.begin_table("users", "a")
    assert ["7", "1"] == state.cursor("users")
    state.begin_table("users", "b")
    assert state.cursor("users") is None
    state.close()


@pytest.mark.parametrize(("timeline", "following", "goes_on"), [(1, 100, True), (1, 99, False), (2, 100, False)])
def test_a_database_that_has_gone_back_is_read_again(
    state: State, timeline: int, following: int, *, goes_on: bool
) -> None:
    """From a backup, or on a replica that had not got everything, ids of transactions come a second time."""
    fit_database(state, ("db", 1), 90)
    state.save(Progress({"users": ["90", "1"]}, notes={FOLLOWING: "100"}), {})
    fit_database(state, ("db", timeline), following)
    assert goes_on == (state.cursor("users") is not None)
    with pytest.raises(StateError, match="belongs to the database db"):
        fit_database(state, ("other", 1), 1000)
    state.close()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    """The hint says what it costs to begin anew."""
    (tmp_path / "state.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(StateError, match="delete the folder"):
        State(tmp_path)


@pytest.mark.parametrize(
    ("column", "expression"),
    [
        (Column("user_id", "int8", "bigint"), 't."user_id"'),
        (Column("total", "numeric", "numeric(12,2)"), 't."total"::text'),
        (Column('a"b', "jsonb", "jsonb"), 't."a""b"::text'),
        (Column("tags", "_text", "text[]", is_array=True), 't."tags"'),
        (Column("at", "time", "time without time zone"), '(extract(epoch FROM t."at") * 1000000)::bigint'),
        (Column("at", "time", "time(3) without time zone"), '(extract(epoch FROM t."at") * 1000)::bigint'),
    ],
)
def test_values_are_as_a_connector_writes_them(column: Column, expression: str) -> None:
    """That they are is what tests/end_to_end/test_polling.py compares; here is how."""
    assert expression == to_value_sql(column)


def test_the_file_for_operators_is_what_the_command_prints() -> None:
    """Below its comment."""
    file = (ROOT / "ops" / "postgres" / "polling.sql").read_text()
    statements = [line for line in file.splitlines() if not line.startswith("--")]
    assert "\n".join(installation(BUILT_IN)).splitlines() == statements


def test_conditions_are_of_tables_that_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt table's deletions would never be seen."""
    monkeypatch.setenv("POLLER_DELETED_WHERE", json.dumps({"user": "deleted"}))
    with pytest.raises(SettingError, match="POLLER_DELETED_WHERE: the view reads no table user"):
        read_settings(PollerSettings)


def test_a_poller_that_stands_still_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits for its servers is; it is not ready."""
    health = Health()
    health.enter("waiting", "PostgreSQL does not answer")
    assert (200, 503) == (health.respond("/livez")[0], health.respond("/readyz")[0])
    health.enter("polling")
    assert (200, 200) == (health.respond("/livez")[0], health.respond("/readyz")[0])
    monkeypatch.setattr("poller.health.STUCK_SECONDS", -1.0)
    assert STUCK_SECONDS > 0
    assert (503, 503) == (health.respond("/livez")[0], health.respond("/readyz")[0])
