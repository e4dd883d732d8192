"""Gives the producer a new epoch before a transaction that a late end of the last one could end.

When that is so, joiner.core.epochs decides; what Quix's producer does is otherwise left to it.
"""

import logging
import threading
import time

from confluent_kafka import Producer
from quixstreams.internal_producer import InternalProducer

from joiner.core.epochs import EpochGuard, TransactionWatcher
from joiner.engine.quix_internals import open_client, replace_client, watch_transactions
from joiner.kafka.config import REQUEST_SECONDS
from joiner.metrics import Metrics

logger = logging.getLogger(__name__)


class EpochKeeper(TransactionWatcher):
    """Watches Quix's producer, and replaces the client below it. Used by the thread that commits.

    Args:
        producer: Quix's.
        metrics: counts new epochs.
    """

    def __init__(self, producer: InternalProducer, metrics: Metrics) -> None:
        self._producer = producer
        self._renewals = metrics.new_epochs
        self._guard = EpochGuard()
        watch_transactions(producer, self)

    def on_error(self) -> None:
        """Note an error that the client reports: it may be of the connection that matters."""
        self._guard.note_error(time.monotonic())

    def on_failure(self) -> None:
        """Note that an attempt to end a transaction failed."""
        self._guard.note_failure()

    def before_end(self) -> None:
        """Note that a transaction is about to be ended."""
        self._guard.begin_end(time.monotonic())

    def after_end(self) -> None:
        """Note that the end is answered, or given up."""
        self._guard.finish_end(time.monotonic())

    def before_begin(self) -> None:
        """Replace the client if the next transaction needs a new epoch.

        Raises:
            KafkaException: Kafka does not answer, or refuses.
        """
        if not self._guard.needs_epoch:
            return
        logger.warning(
            "Kafka's client may have sent the end of the last transaction twice; going on under a new epoch, so that"
            " neither can end the next one"
        )
        client = open_client(self._producer)
        client.init_transactions(REQUEST_SECONDS)
        _free_elsewhere([replace_client(self._producer, client)])
        self._guard.renew()
        self._renewals.inc()


def _free_elsewhere(clients: list[Producer | None]) -> None:
    """Free clients in a thread of their own: one whose connections were cut off can block the thread that frees it."""
    threading.Thread(target=clients.clear, name="frees a Kafka client", daemon=True).start()
