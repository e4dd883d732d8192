"""Asks Kafka, again and again, whether a topic is still the one that is followed, and where it ends now."""

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from replication.compatibility import CopyIdentity
from shared.errors import KafkaError

CHECK_SECONDS = 2.0
"""How often the topic's identity and ends are read, and thereby whether Kafka is there."""

CONFIRM_SECONDS = 2.0
"""How long Kafka may take to confirm the topic's identity: shorter than other requests, since a batch waits for it."""


class PendingEnds(Protocol):
    """A question for the topic's ends that may not be answered yet."""

    @property
    def asked_at(self) -> float:
        """When it was asked, on this machine's monotonic clock."""

    def poll(self) -> Mapping[int, int] | None:
        """Return partition -> end; None if the answer is still to come. KafkaError: there will be none."""


class Topic(Protocol):
    """What is asked about a topic: see `replication.kafka.topic`."""

    def read_identity(self, seconds: float, /) -> CopyIdentity | None:
        """Return what the topic is now; None if it does not exist. KafkaError: no answer within these seconds."""

    def ask_ends(self, partitions: Iterable[int], /) -> PendingEnds:
        """Ask where the topic ends, without waiting for the answer."""


class Ends(NamedTuple):
    """The topic's ends.

    Args:
        asked_at: when Kafka was asked, on the monotonic clock.
        ends: partition -> its end.
    """

    asked_at: float
    ends: Mapping[int, int]


class TopicMonitor:
    """Compares the topic with what it was when the session began. Everything here belongs to the replicator thread.

    Args:
        topic: what to ask about.
        identity: what it was.

    Attributes:
        silence: why Kafka does not answer; None while it does.
        contact: when Kafka last answered, on the monotonic clock.
    """

    def __init__(self, topic: Topic, identity: CopyIdentity) -> None:
        self.silence: str | None = None
        self.contact = time.monotonic()
        self._topic = topic
        self._identity = identity
        self._pending: PendingEnds | None = None
        self._check_at = self.contact + CHECK_SECONDS

    def confirm(self) -> bool | None:
        """Return whether the topic is still the same one; None if Kafka does not say."""
        try:
            same = self._topic.read_identity(CONFIRM_SECONDS) == self._identity
        except KafkaError as error:
            self.silence = str(error)
            return None
        self.contact = time.monotonic()
        self.silence = None
        return same

    def is_due(self, now: float) -> bool:
        """Return whether it is time for the next check; never while the last one's ends are still to come."""
        if self._pending is not None or now < self._check_at:
            return False
        self._check_at = now + CHECK_SECONDS
        return True

    def ask_ends(self) -> None:
        """Ask where the topic ends; `poll_ends` returns the answer."""
        self._pending = self._topic.ask_ends(self._identity.share.held)

    def poll_ends(self) -> Ends | None:
        """Return the ends that were asked for; None if there is no answer, or not yet."""
        if self._pending is None:
            return None
        asked_at = self._pending.asked_at
        try:
            ends = self._pending.poll()
        except KafkaError as error:
            self._pending, self.silence = None, str(error)
            return None
        if ends is None:
            return None
        self._pending, self.contact = None, time.monotonic()
        return Ends(asked_at, ends)
