"""Decides when a producer needs a new epoch before its next transaction.

A commit or an abort is one request, EndTxn, which Kafka's client sends again when its connection fails before the
answer. The first one may still arrive: late, while the next transaction is open, which it ends then, since both have
one producer and one epoch (KAFKA-17754). A new epoch makes brokers refuse what is late. So each transaction after one
whose end may have been sent twice begins under a new one. Pure: no Kafka, no clock.
"""

from typing import Protocol

SILENT_SECONDS = 30.0
"""For how long Kafka's client does not report an error of a connection that is like the last one."""

RESEND_SECONDS = 0.05
"""An end that took less was sent once: before a request is sent again, the client waits for its `retry.backoff.ms`,
which is 100, less a fifth at most."""


class EpochGuard:
    """Watches the ends of one producer's transactions. All times are of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._began_at: float | None = None
        self._error_at = float("-inf")
        self.needs_epoch = False
        """True if the last end may have been sent twice."""

    def note_error(self, now: float) -> None:
        """Note that the client reports an error, such as a connection that failed."""
        self._error_at = now
        if self._began_at is not None:
            self.needs_epoch = True

    def note_failure(self) -> None:
        """Note that an end failed, whatever is tried next."""
        self.needs_epoch = True

    def begin_end(self, now: float) -> None:
        """Note that the end of a transaction is about to be sent, and that all errors from before are noted."""
        self._began_at = now

    def finish_end(self, now: float) -> None:
        """Note that the end is answered, or given up."""
        began_at, self._began_at = self._began_at, None
        may_be_silent = now - self._error_at < SILENT_SECONDS
        if may_be_silent and began_at is not None and now - began_at >= RESEND_SECONDS:
            self.needs_epoch = True

    def renew(self) -> None:
        """Note that the producer has a new epoch, and with it a new client, which has kept no error to itself."""
        self.needs_epoch = False
        self._error_at = float("-inf")


class TransactionWatcher(Protocol):
    """What is told of a producer's transactions."""

    def before_begin(self) -> None:
        """Be told that one is about to begin."""

    def before_end(self) -> None:
        """Be told that one is about to be ended, or given its offsets; all errors until then have been reported."""

    def after_end(self) -> None:
        """Be told that this is answered, or given up; all errors until then have been reported."""

    def on_failure(self) -> None:
        """Be told that an attempt at it failed; it may be tried again."""

    def on_error(self) -> None:
        """Be told that the client reports an error."""
