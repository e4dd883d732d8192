"""What a reader's `/metrics` returns, in Prometheus' text format. The only module that knows Prometheus' client.

Nothing is counted here: the counters and the status report become metrics when they are asked for.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from reader.status.counters import Histogram, ResponseCounters
from reader.status.report import StatusReport
from shared.clock import now_ms
from shared.shards import Shard

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = ("starting", "replaying", "building", "ready", "stale", "failed")


def render_metrics(processes: Iterable[ResponseCounters], report: StatusReport, shard: Shard | None = None) -> bytes:
    """Return the metrics of a reader.

    Args:
        processes: what each serving process has counted.
        report: the reader's status.
        shard: that it holds, or will once it is ready; None: all users.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_ReaderCollector(list(processes), report, shard))
    return generate_latest(registry)


class _ReaderCollector(Collector):
    """The numbers as the client library asks for them."""

    def __init__(self, processes: list[ResponseCounters], report: StatusReport, shard: Shard | None) -> None:
        self._processes = processes
        self._responses = ResponseCounters()
        for process in processes:
            self._responses.add(process)
        self._report = report
        self._shard = shard

    def collect(self) -> Iterator[Metric]:
        """Return all metrics."""
        yield from self._collect_responses()
        yield from self._collect_copy()
        yield from self._collect_freshness()
        yield from self._collect_readiness()

    def _collect_responses(self) -> Iterator[Metric]:
        counted = self._responses
        responses = CounterMetricFamily("reader_answers", "Responses by HTTP status.", labels=["status"])
        for status, number in sorted(counted.responses.items()):
            responses.add_metric([str(status)], number)
        yield responses
        text = "Seconds from when a request could have been taken to when its response was handed to the system."
        yield _histogram("reader_answer_seconds", text, counted.seconds)
        text = "Seconds by which the event loop was late, measured at fixed intervals."
        yield _histogram("reader_event_loop_delay_seconds", text, counted.delays)
        yield _gauge("reader_connections", "Connections that are open.", counted.connections)
        yield _gauge("reader_processes", "Processes that serve requests.", len(self._processes))

    def _collect_copy(self) -> Iterator[Metric]:
        applied, copy = self._report.applied, self._report.live_copy
        yield _counter("reader_applied_records", "Records applied, tombstones included.", applied.records)
        yield _counter("reader_applied_bytes", "Bytes of keys and values applied.", applied.size_bytes)
        yield _histogram("reader_batch_seconds", "Seconds that it took to apply each batch.", applied.batches)
        yield _counter("reader_skipped_records", "Records whose keys are not ids.", applied.skipped)
        yield _gauge("reader_store_records", "Records that the copy holds.", copy.records)
        yield _gauge("reader_store_bytes", "Bytes that the copy takes up on disk.", copy.size_bytes)
        yield _gauge("reader_disk_free_bytes", "Bytes that the copy's disk has left.", copy.free_bytes)

    def _collect_freshness(self) -> Iterator[Metric]:
        report, applied = self._report, self._report.applied
        text = "Seconds from the oldest change that a record shows for the first time to its being applied."
        yield _histogram("reader_update_age_seconds", text, applied.ages)
        text = "Records without an age: applied before the copy was served, or showing no change made just now."
        untimed = CounterMetricFamily("reader_untimed_records", text, labels=["reason"])
        untimed.add_metric(["replay"], applied.replayed)
        untimed.add_metric(["snapshot"], applied.untimed)
        yield untimed
        staleness = report.readiness.staleness_seconds(now_ms())
        if staleness is not None:
            text = "Age of the newest heartbeat of the slowest partition, by the source's clock; absent without one."
            yield _gauge("reader_heartbeat_age_seconds", text, staleness)
        text = "Source time of a partition's newest heartbeat, in seconds since 1970."
        times = {partition: time_ms / 1000 for partition, time_ms in report.fresh_ms.items()}
        yield _by_partition("reader_heartbeat_time_seconds", text, times)

    def _collect_readiness(self) -> Iterator[Metric]:
        report, readiness = self._report, self._report.readiness
        ready = readiness.accepts_traffic and readiness.explain_staleness(now_ms()) is None
        text = "Consumer lag: records, by offset, that the topic has and the copy has not."
        yield _by_partition("reader_lag_records", text, report.lag_records)
        text = "Seconds since the copy last held all of a partition; absent where it never did."
        yield _by_partition("reader_lag_seconds", text, report.lag_seconds)
        if readiness.complete_at is not None:
            behind = max(0.0, time.monotonic() - readiness.complete_at)
            yield _gauge("reader_behind_seconds", "Seconds since the copy last held all that the topic had.", behind)
        text = "How much of the joiner's build is done; absent where none is under way."
        yield _gauge("reader_build_percent", text, readiness.build_percent)
        yield _gauge("reader_ready", "1 where /readyz answers 200.", int(ready))
        states = GaugeMetricFamily("reader_state", "1 for the state that /readyz reports.", labels=["state"])
        for state in STATES:
            states.add_metric([state], int(state == readiness.state))
        yield states
        text = "How many shards share the users; the labels name this reader's."
        shards = GaugeMetricFamily("reader_shards", text, labels=["shard", "of"])
        if self._shard is not None:
            shards.add_metric([*map(str, self._shard)], self._shard.of)
        yield shards


def _gauge(name: str, text: str, value: float | None) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _by_partition(name: str, text: str, values: Mapping[int, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["partition"])
    for partition, value in sorted(values.items()):
        family.add_metric([str(partition)], value)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    edges = [*(str(edge) for edge in histogram.edges), "+Inf"]
    counts = accumulate(histogram.counts)
    return HistogramMetricFamily(name, text, buckets=list(zip(edges, counts, strict=True)), sum_value=histogram.total)
