"""What `/metrics` says, and that it is what happened."""

import json
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reader.status.counters import RESPONSE_EDGES, ApplyCounters, Histogram, ResponseCounters
from reader.status.prometheus import render_metrics
from reader.status.report import LiveCopy, StatusReport
from reader.storage.read_view import StoredRecord
from replication.readiness import Readiness
from tests.support.http import LocalServer, exchange

READY = Readiness("ready", serves=True, complete_at=0.0)
REPORT = StatusReport(READY, True, LiveCopy("copy-2", 7, 4096), {0: 3, 1: 0}, {0: 1.5}, ApplyCounters())


def samples(text: bytes) -> dict[tuple[str, ...], float]:
    """Return each sample of an exposition: its name and its labels' values -> its value."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            found[(sample.name, *sample.labels.values())] = sample.value
    return found


@pytest.mark.parametrize(
    ("seconds", "edge"), [(0.0, "0.0005"), (0.005, "0.005"), (0.0050001, "0.01"), (0.01, "0.01"), (0.0100001, "0.025")]
)
def test_the_promise_on_reads_can_be_read_off_exactly(seconds: float, edge: str) -> None:
    """An answer of exactly 5 or 10 ms is within 5 or 10 ms, one a moment longer is not."""
    counters = ResponseCounters()
    counters.count_response(200, seconds)
    found = samples(render_metrics([counters], REPORT))
    edges = [str(edge) for edge in RESPONSE_EDGES]
    reached = [found["reader_answer_seconds_bucket", edge] for edge in edges]
    assert reached == [0.0] * edges.index(edge) + [1.0] * (len(edges) - edges.index(edge))
    assert 1.0 == found["reader_answer_seconds_bucket", "+Inf"]


def test_any_process_answers_for_all() -> None:
    """Answers of several processes are added up, status by status and edge by edge."""
    one, other = ResponseCounters(connections=2), ResponseCounters(connections=3)
    one.count_response(200, 0.001)
    other.count_response(200, 0.02)
    other.count_response(404, 0.001)
    found = samples(render_metrics([one, other], REPORT))
    assert (2.0, 1.0) == (found["reader_answers_total", "200"], found["reader_answers_total", "404"])
    assert (2.0, 3.0) == tuple(found["reader_answer_seconds_bucket", edge] for edge in ("0.01", "0.025"))
    assert pytest.approx(0.022) == found["reader_answer_seconds_sum",]
    assert (5.0, 2.0) == (found["reader_connections",], found["reader_processes",])


def test_how_late_the_event_loop_was_counts_as_time_of_the_answers_after_it() -> None:
    """What waits for a loop that is late waits that much longer for its answer."""
    counters = ResponseCounters()
    counters.note_delay(0.008)
    counters.count_response(200, 0.001)
    counters.note_delay(-0.001)
    counters.count_response(200, 0.001)
    assert counters.seconds.counts == ResponseCounters.from_document(counters.to_document()).seconds.counts
    found = samples(render_metrics([counters], REPORT))
    assert (1.0, 2.0) == tuple(found["reader_answer_seconds_bucket", edge] for edge in ("0.005", "0.01"))
    assert (1.0, 2.0) == tuple(found["reader_event_loop_delay_seconds_bucket", edge] for edge in ("0.005", "0.01"))


def test_the_copy_and_its_lag_are_numbers_by_partition() -> None:
    """Records and seconds that each partition lags, what is held, what was taken in, and the state."""
    applied = ApplyCounters()
    applied.count_batch([Sized(b"alice", b"12345"), Sized(b"bob", None)], 0.004)
    found = samples(render_metrics([], StatusReport(READY, True, REPORT.live_copy, {0: 3, 1: 0}, {0: 1.5}, applied)))
    assert (3.0, 0.0) == (found["reader_lag_records", "0"], found["reader_lag_records", "1"])
    assert (1.5, False) == (found["reader_lag_seconds", "0"], ("reader_lag_seconds", "1") in found)
    assert (7.0, 4096.0) == (found["reader_store_records",], found["reader_store_bytes",])
    assert (2.0, 13.0) == (found["reader_applied_records_total",], found["reader_applied_bytes_total",])
    assert (0.0, 1.0) == tuple(found["reader_batch_seconds_bucket", edge] for edge in ("0.0025", "0.005"))
    assert (1.0, 1.0, 0.0) == (found["reader_ready",], found["reader_state", "ready"], found["reader_state", "stale"])
    assert found["reader_behind_seconds",] > 0


class Sized:
    """A record, as far as its size goes."""

    def __init__(self, key: bytes, value: bytes | None) -> None:
        self.key, self.value = key, value


def test_numbers_survive_the_way_to_another_process() -> None:
    """What is written as JSON is read back as it was."""
    counters = ResponseCounters({200: 3}, Histogram(RESPONSE_EDGES, list(range(11)), 1.5), connections=4)
    assert counters == ResponseCounters.from_document(json.loads(json.dumps(counters.to_document())))
    assert REPORT == StatusReport.from_document(json.loads(json.dumps(REPORT.to_document())))


@pytest.fixture
def serving() -> Iterator[LocalServer]:
    """Give a server with one user."""
    with LocalServer({b"alice": StoredRecord(0, 0, 0, b"{}")}) as made:
        yield made


def test_each_answer_is_counted_once_whichever_way_it_took(serving: LocalServer) -> None:
    """On the fast path, on the ordinary path, and where a request is refused before it is complete."""
    close = b"Host: here\r\nConnection: close\r\n\r\n"
    before = dict(serving.counters.responses)
    exchange(
        serving.port, b"GET /users/alice HTTP/1.1\r\nHost: here\r\n\r\n" * 40 + b"GET /users/bob HTTP/1.1\r\n" + close
    )
    exchange(serving.port, b"POST /users/alice HTTP/1.1\r\n" + close)
    exchange(serving.port, b"nonsense\r\n\r\n")
    exchange(serving.port, b"GET /nowhere HTTP/1.1\r\n" + close)
    text = exchange(serving.port, b"GET /metrics HTTP/1.1\r\n" + close).partition(b"\r\n\r\n")[2]
    found = samples(text)
    assert 40.0 == found["reader_answers_total", "200"] - before[200]
    assert (2.0, 1.0, 1.0) == tuple(found["reader_answers_total", status] for status in ("404", "405", "400"))
    assert found["reader_answer_seconds_count",] == sum(before.values()) + 44
