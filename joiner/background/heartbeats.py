"""Passes heartbeats on: read where the source's capture writes them, written to user-info behind the data.

What a heartbeat may promise is decided in joiner.core.watermarks; here are the clients. They write outside the loop's
transactions, and only about what those have committed: so a heartbeat lies behind that data in every partition, whoever
owns the partition by then. Heartbeats hold nothing up. An error costs a warning, and readers see their data age.
"""

import logging
import time

from confluent_kafka import OFFSET_END, Consumer, KafkaException, Message, Producer, TopicPartition

from joiner.background.progress import CommittedProgress
from joiner.context import Context
from joiner.core.beats import encode_own_beat, is_streamed, read_beat
from joiner.core.compatibility import StateInputs
from joiner.core.watermarks import (
    WATERMARKS_KEY,
    InternalWatermarks,
    SourceWatermarks,
    decode_watermarks,
    encode_watermarks,
)
from joiner.kafka.config import SHORT_REQUEST_SECONDS
from joiner.kafka.producer import open_producer
from shared.clock import now_ms
from shared.errors import RegistryAway, RegistryError, TopicError
from shared.heartbeats import Heartbeat
from shared.kafka import build_config
from shared.parts import partitions_of
from shared.threads import BackgroundThread

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.02
INTERVAL_SECONDS = 1.0
RETRY_SECONDS = 2.0
REMIND_SECONDS = 60.0

SILENT_SECONDS = 10.0
"""After how long without a heartbeat a joiner that leaves writing them to another one says so."""

ENDS_SECONDS = 2.0
"""How long brokers may take to say where partitions end: meanwhile no heartbeat is passed on."""

FROM_SOURCE = "from the source"
WRITTEN_HERE = "written by the joiner itself: what happens before Kafka is not covered"


class HeartbeatRelay(BackgroundThread):
    """Reads heartbeats, asks where the source partitions end at that moment, and passes on what has been joined.

    `CommittedProgress` is shared with the loop, health and metrics with the HTTP thread; all else is this thread's own.

    Args:
        context: what the process keeps.
        topic: the topic of heartbeats.
        inputs: the topics that are joined, and how many partitions each has.
        progress: what the loop has committed.
    """

    stop_seconds = 3.0

    def __init__(self, context: Context, topic: str, inputs: StateInputs, progress: CommittedProgress) -> None:
        super().__init__("heartbeats")
        settings = self._settings = context.settings
        self._context = context
        self._topic = topic
        self._progress = progress
        self._parts = inputs.topics[settings.user_info_changes_topic].partitions
        self._partitions = inputs.topics[settings.user_info_topic].partitions
        sources = [(name, number) for name in settings.sources for number in range(inputs.topics[name].partitions)]
        self._source_watermarks = SourceWatermarks()
        self._internal_watermarks = InternalWatermarks(sources)
        self._newest_ms = self._expected_ms = 0
        self._write_at = self._remind_at = 0.0
        self._heard_at = time.monotonic()

    def start(self) -> None:
        """Start the thread, and say in the log and at /readyz where heartbeats come from."""
        origin = WRITTEN_HERE if self._settings.joiner_writes_heartbeats else FROM_SOURCE
        self._context.health.heartbeats = origin
        logger.info("heartbeats of %s: %s", self._topic, origin)
        super().start()

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                self._relay()
            except (KafkaException, TopicError, RegistryAway, RegistryError) as error:
                self._warn("heartbeats: %s; trying again", error)
            except Exception:
                logger.exception("heartbeats are not passed on; trying again")
            self.stopping.wait(RETRY_SECONDS)

    def _warn(self, message: str, *details: object) -> None:
        if time.monotonic() >= self._remind_at:
            self._remind_at = time.monotonic() + REMIND_SECONDS
            logger.warning(message, *details)

    def _relay(self) -> None:
        """Pass heartbeats on until stopped."""
        producer = open_producer(self._context.client)
        # Sees uncommitted records as well, so that an open transaction holds a partition's time back. A consumer, since
        # an admin client has been seen to end the process when a broker was away.
        ends_consumer = Consumer(self._consumer_config("read_uncommitted"))
        consumer = self._open_consumer()
        try:
            while not self.stopping.is_set():
                self._note_heartbeat(consumer.poll(TICK_SECONDS))
                self._expect_newest(ends_consumer)
                self._write_watermarks(producer)
                self._write_heartbeats(producer)
                self._write_own_heartbeat(producer)
                producer.poll(0)
        finally:
            consumer.close()
            ends_consumer.close()

    def _consumer_config(self, isolation_level: str) -> dict[str, object]:
        own = {
            "group.id": f"{self._settings.joiner_group}-heartbeats",  # librdkafka requires one; it is never joined
            "enable.auto.commit": False,
            "auto.offset.reset": "latest",
            "allow.auto.create.topics": False,
            "isolation.level": isolation_level,
        }
        return build_config(self._context.client, {}, own)

    def _open_consumer(self) -> Consumer:
        consumer = Consumer(self._consumer_config("read_committed"), logger=logger)
        topic = consumer.list_topics(self._topic, timeout=SHORT_REQUEST_SECONDS).topics[self._topic]
        if topic.error is not None:
            consumer.close()
            raise TopicError(
                f"the topic {self._topic} (HEARTBEATS_TOPIC) cannot be read: {topic.error.str()}",
                hint="create it, or correct the setting",
            )
        consumer.assign([TopicPartition(self._topic, number, OFFSET_END) for number in topic.partitions])
        return consumer

    def _note_heartbeat(self, message: Message | None) -> None:
        """Note the time of a heartbeat, if the message is one."""
        if message is None:
            return
        if message.error() is not None:
            raise KafkaException(message.error())
        time_ms, problem = read_beat(
            message.value(), now_ms(), accepts_own=self._settings.joiner_writes_heartbeats, avro=self._context.avro
        )
        if problem is not None:
            self._warn(
                "the heartbeats of %s (HEARTBEATS_TOPIC) are not passed on, so the age of the data is unknown: %s",
                self._topic,
                problem,
            )
        elif time_ms is not None and time_ms > self._newest_ms:
            # Where records do not say which operation they are of, a snapshot may have read the first one.
            self._progress.beats_stream |= self._newest_ms > 0 or is_streamed(message.value(), self._context.avro)
            self._newest_ms = time_ms
            self._heard_at = time.monotonic()
            self._context.metrics.heartbeat_time.set(time_ms / 1000)

    def _expect_newest(self, ends_consumer: Consumer) -> None:
        """After each new heartbeat, note where this process's source partitions end."""
        owned = [
            partition_id for partition_id in self._progress.positions() if partition_id[0] in self._settings.sources
        ]
        if self._newest_ms <= self._expected_ms or not owned:
            return
        time_ms = self._newest_ms
        wanted = [TopicPartition(*each, OFFSET_END) for each in owned]
        found = ends_consumer.offsets_for_times(wanted, ENDS_SECONDS)
        ends = {(tp.topic, tp.partition): tp.offset for tp in found if tp.error is None and tp.offset >= 0}
        if len(ends) < len(owned):
            self._warn(
                "heartbeats wait: no broker says where these partitions end: %s", sorted(set(owned) - ends.keys())
            )
        self._source_watermarks.note_heartbeat(time_ms, ends)
        self._expected_ms = time_ms

    def _write_watermarks(self, producer: Producer) -> None:
        """Write how far this process has joined its source partitions, to every partition of the internal topic."""
        positions = self._progress.positions()
        moved = self._source_watermarks.advance(positions)
        if not moved:
            return
        for part in range(self._parts):
            producer.produce(
                self._settings.user_info_changes_topic, encode_watermarks(moved), WATERMARKS_KEY, partition=part
            )
        for topic in {topic for topic, _ in moved}:
            oldest = self._source_watermarks.find_oldest(each for each in positions if each[0] == topic)
            if oldest is not None:
                self._context.metrics.joined_time.labels(topic).set(oldest / 1000)

    def _write_heartbeats(self, producer: Producer) -> None:
        """Write the time up to which all sources are applied, to every partition of user-info that it holds for."""
        for part, value in self._progress.take_watermarks():
            time_ms = self._internal_watermarks.receive(part, decode_watermarks(value))
            # What a build leaves to its pass is not written yet.
            if time_ms is None or not self._progress.shows_all(part):
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
                self._context.metrics.heartbeats.inc()

    def _write_own_heartbeat(self, producer: Producer) -> None:
        """Write a heartbeat to the topic where no capture does; one joiner of the group does so for all."""
        if not self._settings.joiner_writes_heartbeats or time.monotonic() < self._write_at:
            return
        self._write_at = time.monotonic() + INTERVAL_SECONDS
        if self._progress.owns((self._settings.user_info_changes_topic, 0)):
            time_ms = now_ms()
            producer.produce(self._topic, encode_own_beat(time_ms), b"joiner", timestamp=time_ms)
        elif time.monotonic() - self._heard_at > SILENT_SECONDS:
            self._warn(
                "no heartbeat came in %.0f s: the joiner that owns %s[0] writes them for all, if it is told to as well;"
                " set JOINER_WRITES_HEARTBEATS for all joiners of the group, or for none",
                SILENT_SECONDS,
                self._settings.user_info_changes_topic,
            )
