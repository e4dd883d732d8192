"""Writes rows to Kafka in transactions, of which only one poller at a time can commit any.

Why transactions, where each row may be sent again without harm: of two pollers, one that was paused would write old
rows over newer ones. Kafka refuses it, once another has begun under the same name; and each poller reads its rows after
it has begun.
"""

import logging
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from poller.topics import WRITER
from shared.errors import TopicError
from shared.kafka import build_config
from shared.topics import SOURCE_MESSAGE_BYTES

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 30.0

TRANSACTION_MS = 60_000

REFUSED = frozenset({"MSG_SIZE_TOO_LARGE", "INVALID_RECORD", "TOPIC_AUTHORIZATION_FAILED", "INVALID_TIMESTAMP"})
"""What no repetition changes."""


class Publisher:
    """A transactional producer.

    Args:
        client: where Kafka is and how to reach it, as librdkafka's properties.
        name: of the capture: begun under this name, it ends all that other pollers of the name have under way.
        writer: this state directory's id, which each record carries.

    Raises:
        KafkaException: Kafka does not answer.
    """

    def __init__(self, client: Mapping[str, str], name: str, writer: str) -> None:
        own = {
            "enable.idempotence": True,
            "transactional.id": name,
            "transaction.timeout.ms": TRANSACTION_MS,
            # A row stays in the partition where a connector has put it before.
            "partitioner": "murmur2_random",
        }
        preferred = {
            "compression.type": "lz4",
            "linger.ms": 5,
            "message.max.bytes": SOURCE_MESSAGE_BYTES,
            "queue.buffering.max.kbytes": 64 * 1024,
        }
        self._producer = Producer(build_config(client, preferred, own), logger=logger)
        self._headers = {WRITER: writer.encode()}
        self._is_open = False
        self._positions: dict[tuple[str, int], int] = {}
        self._failures: list[tuple[str, KafkaError]] = []
        self._producer.init_transactions(REQUEST_SECONDS)

    def send(self, topic: str, key: bytes, value: bytes | None, time_ms: int) -> None:
        """Send a record within the transaction that is open, or begin one.

        Args:
            topic: where it goes.
            key: of the row.
            value: the row; None: it is deleted.
            time_ms: no change that the record shows for the first time is older, epoch ms.

        Raises:
            TopicError: it will always be refused; names it.
            KafkaException: Kafka broke it off.
        """
        if not self._is_open:
            self._producer.begin_transaction()
            self._is_open = True
        while True:
            try:
                self._producer.produce(
                    topic, value, key, timestamp=time_ms, headers=self._headers, on_delivery=self._note
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                _refuse(topic, key, error.args[0])
                raise
            else:
                self._producer.poll(0)
                return

    def commit(self) -> dict[tuple[str, int], int]:
        """Commit what was sent; return topic and partition -> the next offset.

        Raises:
            TopicError: a record will always be refused; names its topic.
            KafkaException: Kafka broke it off: it may be committed or not, and nothing more can be sent.
        """
        if self._is_open:
            try:
                self._producer.commit_transaction(REQUEST_SECONDS)
            except KafkaException:
                for topic, failure in self._failures:
                    _refuse(topic, None, failure)
                raise
            self._is_open = False
        written, self._positions = self._positions, {}
        return written

    def _note(self, error: KafkaError | None, message: Message) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if topic is None or partition is None or offset is None:
            return
        if error is not None:
            self._failures.append((topic, error))
        else:
            place = (topic, partition)
            self._positions[place] = max(offset + 1, self._positions.get(place, 0))


def _refuse(topic: str, key: bytes | None, error: KafkaError) -> None:
    if error.name() in REFUSED:
        what = f"the row {key.decode(errors='replace'):.200}" if key is not None else "a row"
        raise TopicError(
            f"Kafka refuses {what} of the topic {topic}: {error.str()}",
            "raise what topic and brokers accept, grant the right, or make the row smaller",
        )
