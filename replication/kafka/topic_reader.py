"""The topic's records, read in batches from given offsets on, and sorted into records, reserved ones and the rest.

Reads all partitions without a consumer group. No offset is stored in Kafka, and only committed records are read.
"""

import logging
from collections.abc import Sequence
from typing import Self

from confluent_kafka import TIMESTAMP_CREATE_TIME, Consumer, Message

from replication.batch import Batch, HeartbeatRecord
from replication.kafka.errors import translate_errors
from replication.records import UNKNOWN_TIME_MS, Record
from shared import logs
from shared.builds import parse_mark
from shared.heartbeats import parse_heartbeat
from shared.kafka import is_end_of_partition
from shared.records import MAX_ID_BYTES, OLDEST_CHANGE_HEADER, RESERVED_KEY_PREFIX
from shared.shape import SHAPE_KEY, parse_shape

logger = logging.getLogger(__name__)


NO_SOURCE_TIME = (
    "records of %s have the broker's time in place of the source's, so answers go without User-Info-Source-Time-Ms;"
    " set the topic's message.timestamp.type=CreateTime, which holds for records that are written from then on"
)


class TopicReader:
    """Reads batch after batch.

    Args:
        consumer: with all partitions assigned.
    """

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._has_warned = False

    def read_batch(self, limit: int, seconds: float, *, timed: bool = False) -> Batch:
        """Return what has arrived.

        Args:
            limit: records at most.
            seconds: to wait for them at most.
            timed: also return the oldest change of each record, which costs a little.

        Raises:
            KafkaError: the client cannot read any more.
        """
        with translate_errors():
            messages = self._consumer.consume(limit, seconds)
        batch = _sort(messages, timed=timed)
        if batch.records and batch.records[-1].timestamp_ms < 0 and not self._has_warned:
            self._has_warned = True
            logger.warning(NO_SOURCE_TIME, messages[-1].topic())
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()


def _sort(messages: Sequence[Message], *, timed: bool) -> Batch:
    records: list[Record] = []
    heartbeats: list[HeartbeatRecord] = []
    shapes: list[Record] = []
    marks: list[Record] = []
    oldest_ms: list[int | None] = []
    batch = Batch(records, {}, set(), heartbeats=heartbeats, shapes=shapes, oldest_ms=oldest_ms, marks=marks)
    for message in messages:
        partition, offset, error = message.partition(), message.offset(), message.error()
        if error is None:
            key = message.key()
            batch.offsets[partition] = offset + 1
            if key and len(key) <= MAX_ID_BYTES and (key.isascii() or _is_utf8(key)):
                records.append(Record(key, message.value(), partition, offset, _read_source_time(message)))
                if timed:
                    oldest_ms.append(_read_oldest_ms(message))
            elif key and key.startswith(RESERVED_KEY_PREFIX):
                _add_reserved(message, heartbeats, shapes, marks)
            else:
                batch = batch._replace(skipped=batch.skipped + 1)
                _log_skipped(message)
            if batch.ended:
                batch.ended.discard(partition)
        elif is_end_of_partition(message):
            # Behind the markers of transactions, which take offsets and never arrive.
            batch.offsets[partition] = max(offset, batch.offsets.get(partition, 0))
            batch.ended.add(partition)
        else:
            return batch._replace(broken=f"{message.topic()}[{partition}]: {error.str()}")
    return batch


def _to_record(message: Message) -> Record:
    return Record(message.key(), message.value(), message.partition(), message.offset(), _read_source_time(message))


def _read_source_time(message: Message) -> int:
    kind, time_ms = message.timestamp()
    return time_ms if kind == TIMESTAMP_CREATE_TIME else UNKNOWN_TIME_MS


def _add_reserved(
    message: Message, heartbeats: list[HeartbeatRecord], shapes: list[Record], marks: list[Record]
) -> None:
    """Add a reserved record to those of its kind; of a kind that this version does not know, to none."""
    heartbeat = parse_heartbeat(message.key(), message.value())
    if heartbeat is not None:
        heartbeats.append(HeartbeatRecord(heartbeat, _to_record(message)))
    elif message.key() == SHAPE_KEY and parse_shape(message.value()) is not None:
        shapes.append(_to_record(message))
    elif parse_mark(message.key(), message.value()) is not None:
        marks.append(_to_record(message))


def _log_skipped(message: Message) -> None:
    fields = message.topic(), message.partition(), message.offset()
    logger.warning("skipping a record whose key is not an id: %s[%d]@%d", *fields, extra=logs.record_fields(*fields))


def _read_oldest_ms(message: Message) -> int | None:
    for name, value in message.headers() or ():
        if name == OLDEST_CHANGE_HEADER:
            return int(value) if value is not None and value.isdigit() and len(value) < 19 else None
    return None


def _is_utf8(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True
