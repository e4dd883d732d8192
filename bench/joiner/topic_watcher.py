"""A consumer of user-info that sees each record as soon as it is committed: what a reader would know, and when.

Runs in a thread and outlives the broker's restarts. Knows nothing of the program that writes the topic.
"""

import threading
import time
from collections.abc import Callable

from confluent_kafka import Consumer, TopicPartition

from shared.threads import BackgroundThread


class TopicWatcher(BackgroundThread):
    """Follows a topic.

    Args:
        bootstrap_servers: where Kafka is.
        topic: which must exist.
        seen: called in the watcher's thread with each record's key, value and time.monotonic() of its arrival.
        from_now: leave out what was written before.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        seen: Callable[[bytes, bytes | None, float], None] | None = None,
        *,
        from_now: bool = False,
    ) -> None:
        super().__init__(f"watcher of {topic}")
        self.latest: dict[bytes, bytes] = {}
        self._seen = seen
        self._arrived = threading.Condition()
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "watches",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        partitions = self._consumer.list_topics(timeout=10).topics[topic].partitions
        places = [TopicPartition(topic, number, 0) for number in partitions]
        if from_now:
            for place in places:
                place.offset = self._consumer.get_watermark_offsets(place, timeout=10)[1]
        self._consumer.assign(places)

    def await_true(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until a condition over `latest` is true; return whether it became so in time."""
        with self._arrived:
            return self._arrived.wait_for(condition, seconds)

    def _run(self) -> None:
        while not self.stopping.is_set():
            first = self._consumer.poll(0.2)
            if first is None:
                continue
            messages = [first, *self._consumer.consume(5_000, 0)]
            now = time.monotonic()
            with self._arrived:
                for message in messages:
                    if message.error() is None:  # else the broker is away, and the client comes back by itself
                        self._take(message.key(), message.value(), now)
                self._arrived.notify_all()

    def _take(self, key: bytes, value: bytes | None, now: float) -> None:
        if key.startswith(b"\xff"):
            return
        if value is None:
            self.latest.pop(key, None)
        else:
            self.latest[key] = value
        if self._seen is not None:
            self._seen(key, value, now)

    def stop(self) -> None:
        """End the thread, and close the consumer."""
        super().stop()
        self._consumer.close()
