"""The heart: whatever happens to rows, and to joiners, user-info ends as SQL over the final tables says."""

from hypothesis import given
from hypothesis import strategies as st

from tests.properties import truth
from tests.properties.cluster import INTERNAL_PARTITIONS, Cluster
from tests.properties.strategies import History, histories

steps = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.lists(st.integers(0, 3), min_size=INTERNAL_PARTITIONS, max_size=INTERNAL_PARTITIONS),
        st.sampled_from(["commits", "commits", "crashes", "loses offsets"]),
    ),
    max_size=8,
)


def played(history: History, schedule: list[tuple[int, list[int], str]]) -> Cluster:
    """Run a history through joiners whose checkpoints end, crash and lose offsets as the schedule says."""
    cluster = Cluster()
    events = list(history.events)
    for count, internal, fate in schedule:
        if fate == "loses offsets":
            cluster.lose_offsets()
        cluster.work(events[:count], internal, crashes=fate == "crashes")
        events = events[count:]
    cluster.work(events, [0] * INTERNAL_PARTITIONS)
    cluster.finish()
    return cluster


@given(histories(), steps)
def test_user_info_equals_sql(history: History, schedule: list[tuple[int, list[int], str]]) -> None:
    """Every user's record is, byte for byte, what the design's SQL gives; whoever is no user has none."""
    assert truth.answers(history.tables) == played(history, schedule).user_info()


@given(histories(), steps)
def test_a_history_delivered_twice_counts_once(history: History, schedule: list[tuple[int, list[int], str]]) -> None:
    """Records that come again, all of them and in their order, as after lost offsets, change nothing in the end."""
    twice = History(history.events + history.events, history.tables)
    assert truth.answers(history.tables) == played(twice, schedule).user_info()


@given(histories(), steps)
def test_each_record_shows_something_new(history: History, schedule: list[tuple[int, list[int], str]]) -> None:
    """No record repeats the one before it, and its times are those of changes that were made."""
    latest: dict[bytes, bytes | None] = {}
    times = {event.source_ms for event in history.events}
    for record in played(history, schedule).output:
        assert latest.get(record.key) != record.value
        latest[record.key] = record.value
        assert {record.newest_ms, record.oldest_ms} <= times
        assert record.oldest_ms <= record.newest_ms


@given(histories())
def test_one_checkpoint_or_one_for_each_row_makes_no_difference(history: History) -> None:
    """Sums over a checkpoint end where single steps do."""
    one = played(history, [])
    each = Cluster()
    for event in history.events:
        each.work([event], [0] * INTERNAL_PARTITIONS)
        each.finish()
    each.finish()
    assert one.user_info() == each.user_info()


@given(histories())
def test_nothing_is_kept_of_rows_that_are_gone(history: History) -> None:
    """State grows with the rows and users there are, not with those there ever were."""
    cluster = played(history, [])
    kept = sum(len(store.content) for (name, _), store in cluster.stores.items() if name != "changes")
    owned = [row for table in ("tweets", "follows", "likes") for row in history.tables[table]]
    with_owner = [row for row in owned if any(value for name, value in row.items() if name.endswith(("r_id", "e_id")))]
    assert len(with_owner) >= kept
