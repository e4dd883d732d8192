"""How old a reader says that it is, and what it does when that is too old."""

import json
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reader.replication.copy_writer import read_freshness
from reader.status.counters import AGE_EDGES, ApplyCounters
from reader.status.prometheus import render_metrics
from reader.status.report import StatusReport
from reader.storage.read_view import StoredRecord
from reader.storage.store import Store
from replication.freshness import Freshness
from replication.readiness import Readiness
from replication.records import Record
from shared.heartbeats import Heartbeat
from shared.shards import Share
from tests.support.http import LocalServer, exchange

NOW_MS = 1_700_000_010_000
ASK = b"GET /readyz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"


def test_a_partition_is_as_old_as_the_oldest_part_that_feeds_it() -> None:
    """Two parts feed partition 1 of 2: one of them alone says nothing, and the slower one decides."""
    freshness = Freshness(Share(2))
    freshness.note(1, Heartbeat(1, 4, 2_000))
    assert freshness.time_ms(1) is None
    freshness.note(1, Heartbeat(3, 4, 1_000))
    assert (1_000, None) == (freshness.time_ms(1), freshness.oldest_ms)
    freshness.note(0, Heartbeat(0, 4, 500))
    freshness.note(0, Heartbeat(2, 4, 700))
    assert 500 == freshness.oldest_ms
    before = freshness.by_partition()
    freshness.note(0, Heartbeat(0, 4, 600))
    freshness.note(1, Heartbeat(0, 1, 9_000))
    assert {0: 500, 1: 1_000} == before
    assert {0: 600, 1: 9_000} == freshness.by_partition()


def test_a_late_heartbeat_makes_nothing_older() -> None:
    """What once held still holds."""
    freshness = Freshness(Share(1))
    freshness.note(0, Heartbeat(0, 1, 2_000))
    freshness.note(0, Heartbeat(0, 1, 1_000))
    assert 2_000 == freshness.oldest_ms


def test_parts_of_a_recreated_internal_topic_replace_the_old_ones() -> None:
    """A part that is no more does not hold a partition back for ever."""
    freshness = Freshness(Share(1))
    freshness.note(0, Heartbeat(0, 2, 1_000))
    freshness.note(0, Heartbeat(1, 2, 1_000))
    freshness.note(0, Heartbeat(0, 1, 3_000))
    assert 3_000 == freshness.oldest_ms


def test_a_copy_keeps_its_heartbeats_and_serves_none(tmp_path: Path) -> None:
    """They are taken in with the batch that they came in, survive a restart, and are no records."""
    store = Store(tmp_path)
    key = Heartbeat(0, 2, 0).key
    beats = [Record(key, Heartbeat(0, 2, 7_000).value, 0, 5, 0), Record(key, Heartbeat(0, 2, 8_000).value, 2, 1, 0)]
    store.apply([Record(b"alice", b"{}", 0, 4, 0)], {0: 6, 2: 2}, beats)
    # What was taken in before is passed over.
    store.apply([], {0: 6}, [Record(key, Heartbeat(0, 2, 1_000).value, 0, 5, 0)])
    assert {b"alice": b"{}"} == store.items()
    assert store.body(key) is None
    store.close()
    reopened = Store(tmp_path)
    assert [(0, Heartbeat(0, 2, 7_000)), (2, Heartbeat(0, 2, 8_000))] == reopened.heartbeats()
    assert {0: 6, 2: 2} == reopened.offsets()
    assert {0: 7_000, 2: 8_000} == read_freshness(reopened, Share(4)).by_partition()
    reopened.close()


@pytest.mark.parametrize(
    ("seconds", "edge"), [(0.0, 0.1), (5.0, 5.0), (5.001, 10.0), (10.0, 10.0), (10.001, 30.0), (-3.0, 0.1)]
)
def test_the_promise_on_freshness_can_be_read_off_exactly(seconds: float, edge: float) -> None:
    """An update of exactly 5 or 10 s is within 5 or 10 s; clocks that disagree make none younger than nothing."""
    applied = ApplyCounters()
    applied.count_ages([NOW_MS - round(seconds * 1000)], NOW_MS)
    assert [edge] == [upper for upper, count in zip(AGE_EDGES, applied.ages.counts, strict=False) if count]
    assert applied.ages.total >= 0


def test_records_without_a_recent_change_are_counted_apart() -> None:
    """Rows of a snapshot have no age, and nothing taken in before the copy is served has one."""
    applied = ApplyCounters(replayed=4)
    applied.count_ages([None, NOW_MS - 200, None], NOW_MS)
    found = samples(StatusReport(Readiness("ready", serves=True), applied=applied))
    assert (2.0, 4.0) == (
        found["reader_untimed_records_total", "snapshot"],
        found["reader_untimed_records_total", "replay"],
    )
    assert 1.0 == found["reader_update_age_seconds_count",]
    assert pytest.approx(0.2) == found["reader_update_age_seconds_sum",]


def test_the_age_of_the_slowest_partition_is_a_number() -> None:
    """It is there once every partition has a heartbeat; each partition has its own as well."""
    now_ms = time.time_ns() // 1_000_000
    ready = Readiness("ready", serves=True, fresh_ms=now_ms - 2_000)
    found = samples(StatusReport(ready, fresh_ms={0: now_ms, 1: now_ms - 2_000}))
    assert 2.0 <= found["reader_heartbeat_age_seconds",] < 30.0
    assert found["reader_heartbeat_time_seconds", "1"] == pytest.approx(now_ms / 1000 - 2)
    assert ("reader_heartbeat_age_seconds",) not in samples(StatusReport(Readiness("ready", serves=True)))


def test_heartbeats_survive_the_way_to_another_process() -> None:
    """What is written as JSON is read back as it was."""
    applied = ApplyCounters(replayed=4)
    applied.count_ages([None, NOW_MS - 200], NOW_MS)
    readiness = Readiness("ready", fresh_ms=5, max_staleness_seconds=1.5)
    report = StatusReport(readiness, applied=applied, fresh_ms={0: 5, 1: 7})
    assert report == StatusReport.from_document(json.loads(json.dumps(report.to_document())))


@pytest.mark.parametrize(
    ("limit", "fresh_ms", "ready"),
    [
        (None, None, True),
        (None, NOW_MS - 10**9, True),
        (5.0, NOW_MS - 5_000, True),
        (5.0, NOW_MS - 5_001, False),
        (5.0, NOW_MS + 1_000, True),
        (5.0, NOW_MS + 1_001, False),
        (5.0, None, False),
    ],
)
def test_a_reader_that_is_too_stale_is_unready(limit: float | None, fresh_ms: int | None, ready: bool) -> None:
    """Only where a limit is set; a reader that does not know how stale it is does not keep it."""
    progress = Readiness("stale", serves=True, fresh_ms=fresh_ms, max_staleness_seconds=limit)
    assert ready == (progress.explain_staleness(NOW_MS) is None)


def test_a_heartbeat_from_the_future_says_no_age() -> None:
    """A clock that is behind would hide every delay up to that: it is named, and there is no figure."""
    ahead = Readiness("ready", serves=True, fresh_ms=NOW_MS + 8_000, max_staleness_seconds=5.0)
    assert ahead.staleness_seconds(NOW_MS) is None
    assert (
        "READER_MAX_STALENESS_SECONDS=5, but the newest heartbeat is 8.0 s in the future; set this machine's clock"
    ) == ahead.explain_staleness(NOW_MS)


def test_a_reader_that_is_too_stale_says_so_and_answers_all_the_same() -> None:
    """/readyz is 503 and names the setting, reader_ready is 0; users are still answered."""
    progress = Readiness("ready", serves=True, fresh_ms=0, max_staleness_seconds=5.0, complete_at=0.0)
    with LocalServer({b"alice": StoredRecord(0, 0, 0, b"{}")}, readiness=progress) as serving:
        head, _, body = exchange(serving.port, ASK).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in head
        assert "READER_MAX_STALENESS_SECONDS=5" in json.loads(body)["reason"]
        assert exchange(serving.port, ASK.replace(b"readyz", b"users/alice")).startswith(b"HTTP/1.1 200")
        assert b"\nreader_ready 0.0" in exchange(serving.port, ASK.replace(b"readyz", b"metrics"))


def samples(report: StatusReport) -> dict[tuple[str, ...], float]:
    """Return each sample of a reader's metrics: its name and its labels' values -> its value."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(render_metrics([], report).decode())
        for sample in family.samples
    }
