"""What the poller counts and measures, in Prometheus' format at `/metrics`."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """One process's metrics; the help of each attribute describes it. May be used from any thread."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.rows = Counter("poller_rows", "Rows written.", ["table"], registry=registry)
        self.tombstones = Counter("poller_tombstones", "Deletions written.", ["table"], registry=registry)
        self.beginnings = Counter(
            "poller_beginnings", "Times that a table was read from its first row.", ["table"], registry=registry
        )
        self.restarts = Counter(
            "poller_restarts", "Times that the poller continued by itself after an error.", registry=registry
        )
        self.poll_seconds = Histogram(
            "poller_poll_seconds",
            "Time of a poll of all tables, that of sending included.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300),
            registry=registry,
        )
        self.comparison_seconds = Gauge(
            "poller_comparison_seconds", "Time that the last comparison of all keys took.", registry=registry
        )
        self.rows_time = Gauge(
            "poller_rows_time_seconds",
            "Database's time before which all inserts and updates have been written, in seconds since 1970; 0: none.",
            registry=registry,
        )
        self.deletions_time = Gauge(
            "poller_deletions_time_seconds",
            "Database's time before which all deletions have been written, in seconds since 1970; 0: none.",
            registry=registry,
        )
        self.ready = Gauge("poller_ready", "1 while tables are polled.", registry=registry)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
