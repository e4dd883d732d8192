"""What a reader's `/metrics` says, in Prometheus' text format. The only module that knows Prometheus' client.

Nothing is counted here: numbers that others keep are turned into metrics when somebody asks.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from reader.status.counters import Histogram, ResponseCounters
from reader.status.report import StatusReport

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = ("starting", "replaying", "ready", "stale", "failed")


def render_metrics(processes: Iterable[ResponseCounters], standing: StatusReport) -> bytes:
    """Return the metrics of a reader.

    Args:
        processes: what each process that answers has counted.
        standing: how the reader stands.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(list(processes), standing))
    return generate_latest(registry)


class _Numbers(Collector):
    """Numbers in the shape in which the client library asks for them."""

    def __init__(self, processes: list[ResponseCounters], standing: StatusReport) -> None:
        self._processes = processes
        self._traffic = ResponseCounters()
        for process in processes:
            self._traffic.add_all(process)
        self._standing = standing

    def collect(self) -> Iterator[Metric]:
        """Return all metrics."""
        yield from self._answers()
        yield from self._copy()
        yield from self._freshness()
        yield from self._readiness()

    def _answers(self) -> Iterator[Metric]:
        traffic = self._traffic
        answers = CounterMetricFamily("reader_answers", "Answers by HTTP status.", labels=["status"])
        for status, number in sorted(traffic.answers.items()):
            answers.add_metric([str(status)], number)
        yield answers
        said = "Seconds from when a request could have been taken to when its answer was handed to the system."
        yield _histogram("reader_answer_seconds", said, traffic.seconds)
        said = "Seconds by which the event loop was late, looked at at fixed intervals."
        yield _histogram("reader_event_loop_delay_seconds", said, traffic.delays)
        yield _gauge("reader_connections", "Connections that are open.", traffic.connections)
        yield _gauge("reader_processes", "Processes that answer.", len(self._processes))

    def _copy(self) -> Iterator[Metric]:
        intake, held = self._standing.intake, self._standing.held
        yield _counter("reader_applied_records", "Records taken in, deletions included.", intake.records)
        yield _counter("reader_applied_bytes", "Bytes of keys and values taken in.", intake.size_bytes)
        yield _histogram("reader_batch_seconds", "Seconds that each batch took to be taken in.", intake.batches)
        yield _counter("reader_skipped_records", "Records whose keys are no ids.", intake.skipped)
        yield _gauge("reader_store_records", "Records that the copy holds.", held.records)
        yield _gauge("reader_store_bytes", "Bytes that the copy takes up on disk.", held.size_bytes)
        yield _gauge("reader_disk_free_bytes", "Bytes that the copy's disk has left.", held.free_bytes)

    def _freshness(self) -> Iterator[Metric]:
        intake, standing, now_ms = self._standing.intake, self._standing, time.time_ns() // 1_000_000
        said = "Seconds from the oldest change that a record shows for the first time to its being taken in."
        yield _histogram("reader_update_age_seconds", said, intake.ages)
        said = "Records without an age: taken in before the copy was served, or showing no change made just now."
        untimed = CounterMetricFamily("reader_untimed_records", said, labels=["reason"])
        untimed.add_metric(["replay"], intake.replayed)
        untimed.add_metric(["snapshot"], intake.untimed)
        yield untimed
        staleness = standing.progress.staleness_seconds(now_ms)
        if staleness is not None:
            said = "Age of the newest heartbeat of the slowest partition, by the source's clock; absent without one."
            yield _gauge("reader_heartbeat_age_seconds", said, staleness)
        said = "Source time of a partition's newest heartbeat, in seconds since 1970."
        times = {partition: time_ms / 1000 for partition, time_ms in standing.fresh_ms.items()}
        yield _by_partition("reader_heartbeat_time_seconds", said, times)

    def _readiness(self) -> Iterator[Metric]:
        standing, progress = self._standing, self._standing.progress
        ready = progress.ready and progress.why_too_stale(time.time_ns() // 1_000_000) is None
        said = "Records, by offset, that the topic has and the copy has not."
        yield _by_partition("reader_lag_records", said, standing.lag_records)
        said = "Seconds since the copy last held all of a partition; absent where it never did."
        yield _by_partition("reader_lag_seconds", said, standing.lag_seconds)
        if progress.complete_at is not None:
            behind = max(0.0, time.monotonic() - progress.complete_at)
            yield _gauge("reader_behind_seconds", "Seconds since the copy last held all that the topic had.", behind)
        yield _gauge("reader_ready", "1 where /readyz answers 200.", int(ready))
        states = GaugeMetricFamily("reader_state", "1 for the state that /readyz says.", labels=["state"])
        for state in STATES:
            states.add_metric([state], int(state == progress.state))
        yield states


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(name, said, value=value)


def _counter(name: str, said: str, value: float) -> Metric:
    return CounterMetricFamily(name, said, value=value)


def _by_partition(name: str, said: str, values: Mapping[int, float]) -> Metric:
    family = GaugeMetricFamily(name, said, labels=["partition"])
    for partition, value in sorted(values.items()):
        family.add_metric([str(partition)], value)
    return family


def _histogram(name: str, said: str, histogram: Histogram) -> Metric:
    edges = [*(str(edge) for edge in histogram.edges), "+Inf"]
    counts = accumulate(histogram.counts)
    return HistogramMetricFamily(name, said, buckets=list(zip(edges, counts, strict=True)), sum_value=histogram.total)
