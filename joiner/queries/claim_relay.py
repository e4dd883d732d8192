"""Reads in the group's ledger who answers for which part, and sees to it that it names this joiner for its own."""

import logging
import time
from collections.abc import Mapping

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from joiner.kafka.ledger import Ledger
from joiner.queries.claims import claim_key, parse_claim
from joiner.queries.responses import UserQueries
from shared.errors import KafkaError
from shared.kafka import build_config
from shared.threads import BackgroundThread

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
RETRY_SECONDS = 2.0
REMIND_SECONDS = 60.0


class ClaimRelay(BackgroundThread):
    """Follows the ledger from its beginning.

    The claims are written by this thread alone, one entry at a time, and read by the threads of requests.

    Args:
        client: where Kafka is and how to reach it, as librdkafka's properties.
        topic: the ledger.
        queries: receives the claims of all; says which parts it answers for.
    """

    stop_seconds = 3.0

    def __init__(self, client: Mapping[str, str], topic: str, queries: UserQueries) -> None:
        super().__init__("claims")
        self._client = client
        self._topic = topic
        self._own = queries.own
        self._claims = queries.claims
        self._held = queries.held
        self._ledger = Ledger(client, topic)
        self._remind_at = 0.0

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                self._follow()
            except (KafkaException, KafkaError) as error:
                if time.monotonic() >= self._remind_at:
                    self._remind_at = time.monotonic() + REMIND_SECONDS
                    logger.warning("which joiner answers for which users cannot be followed: %s; trying again", error)
            except Exception:
                logger.exception("which joiner answers for which users cannot be followed; trying again")
            self.stopping.wait(RETRY_SECONDS)

    def _follow(self) -> None:
        own = {
            "group.id": "user-info-joiner-claims",  # librdkafka requires one; the group is never joined
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
        }
        consumer = Consumer(build_config(self._client, {}, own), logger=logger)
        try:
            consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
            while not self.stopping.is_set():
                message = consumer.poll(POLL_SECONDS)
                if message is None:
                    self._claim()
                else:
                    self._note(message)
        finally:
            consumer.close()

    def _note(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if error.retriable():
                return
            raise KafkaException(error)
        found = parse_claim(message.key(), message.value())
        if found is None:
            return
        part, claim = found
        if claim.url == self._own.url and claim.instance != self._own.instance:
            logger.warning(
                "the joiner %s has the same JOINER_ADVERTISED_URL as this one, %s: give each its own, where clients"
                " reach that joiner and no other",
                claim.instance,
                claim.url,
            )
        self._claims[part] = claim

    def _claim(self) -> None:
        """Claim what this joiner answers for and the ledger says otherwise of, if only by a claim that came late."""
        missing = [part for part in self._held.list_served() if self._claims.get(part) != self._own]
        if missing:
            self._ledger.write({claim_key(part): self._own.encode() for part in missing})
            self._claims.update(dict.fromkeys(missing, self._own))
