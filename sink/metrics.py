"""What a sink counts and measures, in Prometheus' format at `/metrics`."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BATCH_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """One process's metrics; the help of each attribute describes it. May be used from any thread."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.ready = Gauge("sink_ready", "1 while the store holds all of the topic, and follows it.", registry=registry)
        self.records = Counter("sink_records", "Records applied, tombstones included.", registry=registry)
        self.skipped = Counter("sink_skipped_records", "Records whose keys are not ids.", registry=registry)
        self.batch_seconds = Histogram(
            "sink_batch_seconds", "Time to apply a batch.", buckets=BATCH_BUCKETS, registry=registry
        )
        self.refused_users = Gauge(
            "sink_refused_users", "Users that the store lacks since it cannot hold their records.", registry=registry
        )
        self.lag_records = Gauge(
            "sink_lag_records", "Consumer lag: records of user-info that are not in the store.", registry=registry
        )
        self.behind_seconds = Gauge(
            "sink_behind_seconds",
            "How long ago the store last held all of the topic, since the start if it has not.",
            registry=registry,
        )
        self.heartbeat_age_seconds = Gauge(
            "sink_heartbeat_age_seconds",
            "Age of the oldest partition's newest heartbeat: how stale the store may be; NaN without heartbeats.",
            registry=registry,
        )

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
