"""Heartbeats on their way through the joiner: read where the source's capture writes them, passed on behind the data.

A thread beside the loop. What may be said is decided in joiner.core.watermarks; here are the clients. All is written by
a producer of its own, outside of the loop's transactions, and only about what they have committed: it comes to lie
behind that in every partition, whoever owns the partition meanwhile. Heartbeats hold nobody up, and whatever goes wrong
with them costs a warning: readers see themselves grow older.
"""

import logging
import threading
import time
from types import TracebackType

from confluent_kafka import OFFSET_END, Consumer, KafkaException, Message, Producer, TopicPartition

from joiner.background.progress import CommittedProgress
from joiner.context import Context
from joiner.core.compatibility import StateInputs
from joiner.core.rows import read_source_time_ms
from joiner.core.watermarks import (
    WATERMARKS_KEY,
    InternalWatermarks,
    SourceWatermarks,
    decode_watermarks,
    encode_watermarks,
)
from shared.errors import TopicError
from shared.heartbeats import Heartbeat, partitions_of
from shared.kafka import COMMON

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.02
INTERVAL_SECONDS = 1.0
RETRY_SECONDS = 2.0
REMIND_SECONDS = 60.0
REQUEST_SECONDS = 10.0
ANSWER_SECONDS = 2.0
STOP_SECONDS = 3.0

FROM_SOURCE = "from the source"
WRITTEN_HERE = "written by the joiner itself: what happens before Kafka is not covered"


class HeartbeatRelay:
    """A thread that passes heartbeats on until it is stopped.

    Args:
        around: what the process keeps; its settings name the topic of heartbeats.
        topic: that topic.
        inputs: the topics that are joined, and how many partitions each has.
        progress: what the loop has committed.
    """

    def __init__(self, around: Context, topic: str, inputs: StateInputs, progress: CommittedProgress) -> None:
        settings = self._settings = around.settings
        self._around = around
        self._topic = topic
        self._progress = progress
        self._parts = inputs.topics[settings.user_info_changes_topic].partitions
        self._partitions = inputs.topics[settings.user_info_topic].partitions
        sources = [(name, number) for name in settings.sources for number in range(inputs.topics[name].partitions)]
        self._passage, self._heard = SourceWatermarks(), InternalWatermarks(sources)
        self._newest_ms = self._asked_ms = 0
        self._beat_at = self._remind_at = 0.0
        self._client = {
            **COMMON,
            **around.client,
            "group.id": f"{settings.joiner_group}-heartbeats",  # librdkafka wants one; nothing is kept there
            "enable.auto.commit": False,
            "auto.offset.reset": "latest",
            "allow.auto.create.topics": False,
        }
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)

    def __enter__(self) -> None:
        """Start it."""
        self._around.health.heartbeats = WRITTEN_HERE if self._settings.joiner_writes_heartbeats else FROM_SOURCE
        logger.info("heartbeats of %s: %s", self._topic, self._around.health.heartbeats)
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._stop.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._session()
            except (KafkaException, TopicError) as error:
                self._warn("heartbeats: %s; trying again", error)
            except Exception:
                logger.exception("heartbeats are not passed on; trying again")
            self._stop.wait(RETRY_SECONDS)

    def _warn(self, message: str, error: object) -> None:
        if time.monotonic() >= self._remind_at:
            self._remind_at = time.monotonic() + REMIND_SECONDS
            logger.warning(message, error)

    def _session(self) -> None:
        """Pass heartbeats on until stopped."""
        settings = {**COMMON, **self._around.client, "enable.idempotence": True, "linger.ms": 0}
        producer = Producer(settings, logger=logger)
        # Told of what is not committed yet: a transaction that stays open is a partition that stands still. A consumer,
        # since an admin client has been seen to end the process when a broker was away.
        asking = Consumer({**self._client, "isolation.level": "read_uncommitted"})
        consumer = self._consumer()
        try:
            while not self._stop.is_set():
                self._read(consumer.poll(TICK_SECONDS))
                self._ask(asking)
                self._write_times(producer)
                self._write_heartbeats(producer)
                self._beat(producer)
                producer.poll(0)
        finally:
            consumer.close()
            asking.close()

    def _consumer(self) -> Consumer:
        consumer = Consumer({**self._client, "isolation.level": "read_committed"})
        found = consumer.list_topics(self._topic, timeout=REQUEST_SECONDS).topics[self._topic]
        if found.error is not None:
            consumer.close()
            raise TopicError(f"the topic {self._topic} (HEARTBEATS_TOPIC) cannot be read: {found.error.str()}")
        consumer.assign([TopicPartition(self._topic, number, OFFSET_END) for number in found.partitions])
        return consumer

    def _read(self, message: Message | None) -> None:
        """Note the time of a heartbeat."""
        if message is None:
            return
        if message.error() is not None:
            raise KafkaException(message.error())
        if message.value() is None:
            return
        now_ms = time.time_ns() // 1_000_000
        # Brokers refuse records from the future, and nobody is younger than now.
        time_ms = min(read_source_time_ms(message.value()) or message.timestamp()[1], now_ms)
        if time_ms > self._newest_ms:
            self._newest_ms = time_ms
            self._around.metrics.heartbeat_time.set(time_ms / 1000)

    def _ask(self, asking: Consumer) -> None:
        """Ask for the ends of this process's partitions after each heartbeat."""
        places = [place for place in self._progress.positions() if place[0] in self._settings.sources]
        if self._newest_ms <= self._asked_ms or not places:
            return
        time_ms = self._newest_ms
        found = asking.offsets_for_times([TopicPartition(*place, OFFSET_END) for place in places], ANSWER_SECONDS)
        ends = {(tp.topic, tp.partition): tp.offset for tp in found if tp.error is None and tp.offset >= 0}
        if len(ends) < len(places):
            missing = sorted(set(places) - ends.keys())
            self._warn("heartbeats wait: nobody tells the ends of %s", missing)
        self._passage.expect(time_ms, ends)
        self._asked_ms = time_ms

    def _write_times(self, producer: Producer) -> None:
        """Say how far this process's partitions are, to every partition of the internal topic."""
        positions = self._progress.positions()
        moved = self._passage.reach(positions)
        if not moved:
            return
        for part in range(self._parts):
            producer.produce(
                self._settings.user_info_changes_topic, encode_watermarks(moved), WATERMARKS_KEY, partition=part
            )
        for topic in {topic for topic, _ in moved}:
            oldest = self._passage.oldest(place for place in positions if place[0] == topic)
            if oldest is not None:
                self._around.metrics.joined_time.labels(topic).set(oldest / 1000)

    def _write_heartbeats(self, producer: Producer) -> None:
        """Pass on what was said of all source partitions, to every partition of user-info that it holds for."""
        for part, value in self._progress.take_watermarks():
            time_ms = self._heard.hear(part, decode_watermarks(value))
            if time_ms is None:
                continue
            heartbeat = Heartbeat(part, self._parts, time_ms)
            for partition in partitions_of(part, self._partitions, self._parts):
                producer.produce(
                    self._settings.user_info_topic,
                    heartbeat.value,
                    heartbeat.key,
                    partition=partition,
                    timestamp=time_ms,
                )
                self._around.metrics.heartbeats.inc()

    def _beat(self, producer: Producer) -> None:
        """Write a heartbeat where nobody else does; one joiner of the group does it for all."""
        if not self._settings.joiner_writes_heartbeats or time.monotonic() < self._beat_at:
            return
        self._beat_at = time.monotonic() + INTERVAL_SECONDS
        if self._progress.owns((self._settings.user_info_changes_topic, 0)):
            producer.produce(self._topic, b"{}", b"joiner", timestamp=time.time_ns() // 1_000_000)
