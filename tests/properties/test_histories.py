"""The heart: for any history of rows and joiners, user-info ends as SQL over the final tables says."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import StateError
from shared.records import COUNT_KEYS
from tests.support import sql_truth
from tests.support.cluster import INTERNAL_PARTITIONS, Cluster
from tests.support.schedules import Schedule, play, schedules
from tests.support.strategies import OWNERS, PRIMARY_KEYS, History, histories, key_writers, poisoned_histories


@given(histories(), schedules)
def test_user_info_equals_sql(history: History, schedule: Schedule) -> None:
    """Every user's record is, byte for byte, what the design's SQL gives; other ids have none."""
    assert sql_truth.expected_bodies(history.tables) == play(history.events, schedule).user_info()


@given(histories(), schedules)
def test_a_history_delivered_twice_counts_once(history: History, schedule: Schedule) -> None:
    """Records that come again, all of them and in their order, as after lost offsets, change nothing in the end."""
    twice = History(history.events + history.events, history.tables)
    assert sql_truth.expected_bodies(history.tables) == play(twice.events, schedule).user_info()


@given(histories(), schedules)
def test_each_record_shows_something_new(history: History, schedule: Schedule) -> None:
    """No record repeats the one before it, and its times are those of changes that were made."""
    latest: dict[bytes, bytes | None] = {}
    times = {event.source_ms for event in history.events}
    for record in play(history.events, schedule).output:
        assert record.value != latest.get(record.key)
        latest[record.key] = record.value
        oldest_ms = record.newest_ms if record.oldest_ms is None else record.oldest_ms
        assert {record.newest_ms, oldest_ms} <= times
        assert oldest_ms <= record.newest_ms


@given(histories())
def test_one_checkpoint_or_one_for_each_row_makes_no_difference(history: History) -> None:
    """Sums over a checkpoint end where single steps do."""
    one = play(history.events, [])
    each = Cluster()
    for event in history.events:
        each.run_checkpoint([event], [0] * INTERNAL_PARTITIONS)
        each.finish()
    each.finish()
    assert one.user_info() == each.user_info()


@given(histories(), schedules)
def test_state_is_kept_of_rows_and_users_that_are_there_and_of_no_others(history: History, schedule: Schedule) -> None:
    """State grows with the rows that have an owner and the users that have anything, not with all there ever were."""
    cluster = play(history.events, schedule)
    users = {row["user_id"] for row in history.tables["users"]}
    for table, columns in OWNERS.items():
        owned = [row for row in history.tables[table] if any(row[column] is not None for column in columns)]
        assert {row[PRIMARY_KEYS[table]] for row in owned} == cluster.remembered(table)
        users |= {row[column] for row in owned for column in columns}
    assert users - {None} == cluster.remembered("changes")


@given(histories(), schedules)
def test_no_record_shows_what_never_was(history: History, schedule: Schedule) -> None:
    """On the way to the truth no count is negative, and each profile is one that the user had."""
    names = {(event.row_id, event.row["username"]) for event in history.events if event.table == "users" and event.row}
    for record in play(history.events, schedule).output:
        if record.value is not None:
            shown = json.loads(record.value)
            assert (shown["userId"], shown["username"]) in names
            assert min(shown[count] for count in COUNT_KEYS) >= 0


@given(st.data(), histories(), schedules)
def test_keys_that_change_their_form_are_refused_and_never_miscounted(
    data: st.DataObject, history: History, schedule: Schedule
) -> None:
    """From some record on, a table's keys are written in another way: the same bytes, or no joiner continues."""
    table = data.draw(st.sampled_from([*history.writers]))
    writer = history.writers[table]
    other = data.draw(key_writers.map(lambda drawn: replace(drawn, as_number=drawn.as_number and writer.as_number)))
    numbers = [number for number, event in enumerate(history.events) if event.table == table]
    kept = data.draw(st.integers(0, len(numbers)))
    events = list(history.events)
    for number in numbers[kept:]:
        events[number] = replace(events[number], key=other.write(table, events[number].row_id))
    changed = History(tuple(events), history.tables)
    if 0 < kept < len(numbers) and writer.write(table, "7") != other.write(table, "7"):
        with pytest.raises(StateError, match=f"{table} has keys of two forms"):
            play(changed.events, schedule)
    else:
        assert sql_truth.expected_bodies(history.tables) == play(changed.events, schedule).user_info()


@given(st.data(), histories(), schedules)
def test_bad_rows_in_between_change_nothing(data: st.DataObject, history: History, schedule: Schedule) -> None:
    """Records that no row can be read from are set aside, each once; all else ends as if they had not been there."""
    events = data.draw(poisoned_histories(history))
    cluster = play(events, schedule)
    assert sql_truth.expected_bodies(history.tables) == cluster.user_info()
    assert len(events) - len(history.events) == len(cluster.dead_letters)
