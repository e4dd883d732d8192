"""What the joiner counts and measures, in Prometheus' format at `/metrics`. Knows nothing of the join itself."""

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CHECKPOINT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """One process's metrics; the help of each attribute describes it. May be used from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.rows = Counter("joiner_rows", "Source records read.", ["table"], registry=registry)
        self.changes = Counter("joiner_changes", "Internal records applied.", registry=registry)
        self.records = Counter("joiner_user_info_records", "Records written to user-info.", registry=registry)
        self.dead_letters = Counter(
            "joiner_dead_letters", "Source records that no row could be read from.", ["reason"], registry=registry
        )
        self.unknown_values = Counter(
            "joiner_unknown_values",
            "Values that the source left out as unchanged while none was known; they are null.",
            registry=registry,
        )
        self.lag_records = Gauge(
            "joiner_lag_records",
            "Consumer lag: records of a topic that are not read yet, in this process's partitions.",
            ["topic"],
            registry=registry,
        )
        self.lag_seconds = Gauge(
            "joiner_lag_seconds", "Age of the last record read; 0 once all are read.", ["topic"], registry=registry
        )
        self.checkpoint_seconds = Histogram(
            "joiner_checkpoint_seconds", "Time to commit a checkpoint.", buckets=CHECKPOINT_BUCKETS, registry=registry
        )
        self.heartbeats = Counter("joiner_heartbeats", "Heartbeats written to user-info.", registry=registry)
        self.heartbeat_time = Gauge(
            "joiner_heartbeat_time_seconds",
            "Source time of the newest heartbeat received, in seconds since 1970; 0: none.",
            registry=registry,
        )
        self.joined_time = Gauge(
            "joiner_joined_time_seconds",
            "Source time up to which this process's partitions of a topic are joined, in seconds since 1970.",
            ["topic"],
            registry=registry,
        )
        self.rebalances = Counter("joiner_rebalances", "Assignments of partitions to this process.", registry=registry)
        self.restarts = Counter(
            "joiner_restarts", "Times that the joiner continued from the last commit by itself.", registry=registry
        )
        self.new_epochs = Counter(
            "joiner_new_epochs",
            "Times that transactions went on under a new epoch, since the end of one may have been sent twice.",
            registry=registry,
        )
        self.seconds_since_commit = Gauge(
            "joiner_seconds_since_commit",
            "Time since the last commit, or since nothing was left to commit.",
            registry=registry,
        )
        self.state_bytes = Gauge("joiner_state_bytes", "Size of the local stores on disk.", registry=registry)
        self.disk_free_bytes = Gauge(
            "joiner_disk_free_bytes", "Free space on the disk of the local stores.", registry=registry
        )
        self.ready = Gauge("joiner_ready", "1 while changes are processed.", registry=registry)
        self._add_schemas(registry)
        self._add_queries(registry)

    def _add_schemas(self, registry: CollectorRegistry) -> None:
        self.waits_for_schema = Gauge(
            "joiner_waits_for_schema", "1 while the joiner waits for the schema registry.", registry=registry
        )

    def _add_queries(self, registry: CollectorRegistry) -> None:
        self.user_responses = Counter(
            "joiner_user_responses",
            "Responses about users, where the joiner serves them.",
            ["status"],
            registry=registry,
        )
        self.served_parts = Gauge(
            "joiner_served_partitions",
            "Partitions of the internal topic whose users this process answers for now.",
            registry=registry,
        )

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


def folder_bytes(folder: Path) -> int:
    """Return the size of all files below a folder; files that vanish meanwhile count nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
