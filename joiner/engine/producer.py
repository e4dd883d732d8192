"""Sends records inside Quix's open transaction, without its cost per record.

Knows records only as bytes.
"""

from collections.abc import Sequence
from typing import Any

from quixstreams.internal_producer import InternalProducer

from joiner.engine.quix_internals import delivery_callback, librdkafka_producer

POLL_EVERY = 1_000
"""Records between two polls for delivery reports."""

QUEUE_FULL_SECONDS = 0.05
"""How long a poll waits for room in librdkafka's queue."""


class RecordSender:
    """Sends records of one topic through Quix's producer.

    Under exactly-once a record that is lost fails the commit, so none needs a delivery report of its own.

    Args:
        producer: Quix's, whose transaction is open.
        topic: where the records go.
        partition: and to which partition; None lets the producer's partitioner choose by key.
        headers: what every record carries.
    """

    def __init__(
        self,
        producer: InternalProducer,
        topic: str,
        partition: int | None = None,
        headers: Sequence[tuple[str, Any]] | None = None,
    ) -> None:
        self._producer = librdkafka_producer(producer)
        self._on_delivery = delivery_callback(producer)
        self._topic = topic
        self._always: dict[str, Any] = {} if partition is None else {"partition": partition}
        if headers is not None:
            self._always["headers"] = headers
        self.sent = 0

    def __call__(self, key: bytes, value: bytes | None, *, report: bool = False, **more: object) -> None:
        """Send a record.

        Args:
            key: the record's key.
            value: the record's value; None is a tombstone.
            report: have Quix note the offset that the record gets.
            more: further arguments of librdkafka's produce, such as timestamp.
        """
        if report:
            more["on_delivery"] = self._on_delivery
        while True:
            try:
                self._producer.produce(self._topic, value, key, **self._always, **more)
                break
            except BufferError:
                # The queue is full; what the broker takes makes room.
                self._producer.poll(QUEUE_FULL_SECONDS)
        self.sent += 1
        if self.sent % POLL_EVERY == 0:
            self._producer.poll(0)
