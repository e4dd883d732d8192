"""A consumer of user-info that sees what is committed, as soon as it is: what a reader would know, and when.

Runs in a thread and outlives the broker's restarts. Knows nothing of who writes the topic.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, TopicPartition


class TopicWatcher:
    """Follows a topic.

    Args:
        bootstrap_servers: where Kafka is.
        topic: which must exist.
        seen: called in the watcher's thread with each record's key, value and time.monotonic() of its arrival.
        from_now: begin with what is written from now on.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        seen: Callable[[bytes, bytes | None, float], None] | None = None,
        *,
        from_now: bool = False,
    ) -> None:
        self.latest: dict[bytes, bytes] = {}
        self._seen = seen
        self._arrived = threading.Condition()
        self._stopping = False
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
        self._thread = threading.Thread(target=self._follow, name=f"watcher of {topic}", daemon=True)

    def await_true(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until a condition over `latest` is true; return whether it became so in time."""
        with self._arrived:
            return self._arrived.wait_for(condition, seconds)

    def _follow(self) -> None:
        while not self._stopping:
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

    def __enter__(self) -> Self:
        """Begin to follow."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._stopping = True
        self._thread.join()
        self._consumer.close()
