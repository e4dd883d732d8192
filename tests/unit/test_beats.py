"""When a heartbeat was made: the source's time in each of its forms, and nothing in its place."""

import json

import pytest

from joiner.core.beats import Beat, encode_own_beat, read_beat

NOW = 1_764_169_200_000
HOUR_AGO = NOW - 3_600_000
HOUR_AGO_TEXT = "2025-11-26T14:00:00.000000Z"
ROW = {"heartbeat_id": 1, "beat_at": HOUR_AGO_TEXT}


def read(document: object, *, accepts_own: bool = False) -> Beat:
    """Return what a document says, read an hour after it was made."""
    return read_beat(json.dumps(document).encode(), NOW, accepts_own=accepts_own)


@pytest.mark.parametrize(
    "document",
    [
        {"before": None, "after": {"heartbeat_id": 1}, "op": "u", "source": {"ts_ms": HOUR_AGO}, "ts_ms": NOW},
        {"heartbeat_id": 1, "__op": "u", "__source_ts_ms": HOUR_AGO, "__ts_ms": NOW},
        {"heartbeat_id": 1, "__op": "c", "__source_ts_ms": str(HOUR_AGO)},
        {"heartbeat_id": 1, "__op": "u", "__source_ts_ms": HOUR_AGO, "beat_at": "2025-11-26T14:59:59Z"},
        {**ROW, "__source_ts_ms": NOW},
        ROW,
        {"beat_at": "2025-11-26 15:00:00.000+01"},
        {"beat_at": "2025-11-26T09:00:00.000000123-05:00"},
        {"before": None, "after": ROW, "op": "c"},
        {"schema": None, "payload": ROW},
    ],
)
def test_an_hour_old_is_an_hour_old(document: object) -> None:
    """The source's time is in the envelope, in what flattening keeps of it, or in the row's own column."""
    assert Beat(HOUR_AGO) == read(document)


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"heartbeat_id": 1},
        {"ts_ms": NOW},
        {"heartbeat_id": 1, "__ts_ms": NOW},
        {"heartbeat_id": 1, "__op": "u", "__source_ts_ms": None, "created_at": HOUR_AGO_TEXT},
        {"beat_at": "2025-11-26T14:00:00"},
        {"beat_at": "infinity"},
        {"beat_at": HOUR_AGO * 1000},
        {"before": None, "after": ROW, "op": "u", "source": {"ts_ms": 0}},
        {"before": None, "after": ROW, "source": {"ts_ms": HOUR_AGO}},
    ],
)
def test_without_the_sources_time_there_is_no_heartbeat(document: object) -> None:
    """The connector's time, a time without a zone and other columns will not do; the message says what does."""
    time_ms, problem = read(document)
    assert time_ms is None
    assert problem is not None
    assert "add.fields=op,source.ts_ms, or give the table a column beat_at of type timestamptz" in problem


def test_what_is_not_json_is_no_heartbeat() -> None:
    """Nor is a deletion, which is nothing to warn of, in none of its forms."""
    assert read_beat(b"{", NOW, accepts_own=False).problem is not None
    assert Beat(None) == read_beat(None, NOW, accepts_own=False)
    assert Beat(None) == read({"schema": None, "payload": None})


@pytest.mark.parametrize("operation", [{}, {"__op": "x"}, {"__op": None}])
def test_a_time_that_may_be_a_snapshots_is_none(operation: dict[str, object]) -> None:
    """A snapshot's row says when it was read, and tables that come after it are not sent by then."""
    time_ms, problem = read({"heartbeat_id": 1, "__source_ts_ms": HOUR_AGO, **operation})
    assert time_ms is None
    assert problem is not None
    assert "flatten them with add.fields=op,source.ts_ms" in problem
    assert ("may be the time of a snapshot" in problem) == (not operation)


@pytest.mark.parametrize(
    "document",
    [{"before": None, "after": ROW, "op": "r", "source": {"ts_ms": HOUR_AGO}}, {**ROW, "__op": "r"}],
)
def test_a_snapshots_row_promises_nothing(document: object) -> None:
    """Tables whose snapshot comes after it hold older changes; the next heartbeat follows by itself."""
    assert Beat(None) == read(document)


@pytest.mark.parametrize(("ahead_ms", "time_ms"), [(-1, NOW - 1), (0, NOW), (1_000, NOW), (1_001, None)])
def test_a_clock_that_is_far_ahead_is_not_trusted(ahead_ms: int, time_ms: int | None) -> None:
    """It would hide every delay up to that; a little ahead is now."""
    beat = read({"__op": "u", "__source_ts_ms": NOW + ahead_ms})
    assert time_ms == beat.time_ms
    assert (time_ms is None) == (beat.problem is not None and "1.0 s in the future; set the clocks" in beat.problem)


def test_the_joiners_own_time_counts_where_it_was_asked_for() -> None:
    """Then it is no secret that it leaves out what happens before Kafka; values of older joiners carry no time."""
    assert Beat(HOUR_AGO) == read_beat(encode_own_beat(HOUR_AGO), NOW, accepts_own=True)
    assert Beat(HOUR_AGO) == read(ROW, accepts_own=True)
    assert Beat(None) == read({}, accepts_own=True)


def test_another_joiners_time_is_refused_by_the_setting_that_differs() -> None:
    """One joiner of a group that takes it for the source's would promise what it does not cover."""
    time_ms, problem = read_beat(encode_own_beat(HOUR_AGO), NOW, accepts_own=False)
    assert time_ms is None
    assert problem is not None
    assert "set JOINER_WRITES_HEARTBEATS for all joiners of the group, or for none" in problem
