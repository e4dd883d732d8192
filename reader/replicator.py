"""Follows the topic into the store. The only module that knows Kafka.

A thread of its own assigns all partitions, without a consumer group, from the offsets that lie beside the data, and
applies what it reads batch by batch. No offset is stored in Kafka. Only committed records are read.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from reader.generations import Generations
from reader.identity import Identity, cut, verdict
from reader.progress import Progress, State, complete_at, seconds_left
from reader.settings import ReaderSettings
from reader.store import FORMAT, MapFullError, Record, Store, StoreFullError
from shared.kafka import COMMON
from shared.records import MAX_ID_BYTES, RESERVED_KEY_PREFIX
from shared.topics import MAX_MESSAGE_BYTES

logger = logging.getLogger(__name__)

BATCH = 500
"""Records in one transaction: enough to be fast, few enough that answers do not wait for the interpreter."""

POLL_SECONDS = 0.05
REQUEST_SECONDS = 5.0
LOOK_SECONDS = 2.0
"""How often the topic's identity is looked at, and thereby whether Kafka is there."""

SYNC_SECONDS = 5.0
REMIND_SECONDS = 5.0
PATIENCE_SECONDS = 10.0
"""How long a reader that has complete data waits for Kafka at its start before it serves what it has."""

DEFAULT_RETENTION_MS = 24 * 60 * 60 * 1000


class _Refused(Exception):  # noqa: N818 - a decision, not a failure
    """There is no sound way on; the message says what to do."""


class Replicator:
    """Keeps the live copy up to date.

    Args:
        settings: which topic, and where.
        properties: further properties of the Kafka client.
        generations: the copies on disk.
        where_reads_happen: runs a function in the thread that reads the store, between two reads.
    """

    def __init__(
        self,
        settings: ReaderSettings,
        properties: Mapping[str, str],
        generations: Generations,
        where_reads_happen: Callable[[Callable[[], None]], None],
    ) -> None:
        self.progress = Progress(reason="connecting to Kafka")
        self.bad_keys = 0
        self._topic = settings.user_info_topic
        self.servers = settings.kafka_bootstrap_servers
        self._client = {"bootstrap.servers": self.servers, **COMMON, "log_level": 3, **properties}
        self.generations = generations
        self.where_reads_happen = where_reads_happen
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replicator", daemon=True)
        self._began = self.contact = time.monotonic()
        self._remind_at = 0.0
        self.ready = False
        noted = generations.live.note("complete")
        self.complete_at = self._began - (_now_ms() - noted) / 1000 if noted else None

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to follow the topic."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batch at hand."""
        self.stopping.set()
        self._thread.join(REQUEST_SECONDS)

    def _run(self) -> None:
        admin = AdminClient(self._client)
        while not self.stopping.is_set():
            try:
                self._session(admin)
            except KafkaException as error:
                self._without_kafka(error)
            except _Refused as refusal:
                self.report(Progress("failed", serves=self.has_data, reason=str(refusal)))
                self.stopping.wait(LOOK_SECONDS)
            except Exception:
                # Whatever it was, what is in the store is still right to serve, and the next try may go well.
                logger.exception("following the topic failed unexpectedly; trying again")
                self.report(Progress("failed", serves=self.has_data, reason="an unexpected error; see the log"))
                self.stopping.wait(LOOK_SECONDS)
            self.stopping.wait(0.5)

    @property
    def has_data(self) -> bool:
        """Whether there is a complete copy to serve, however old."""
        return self.ready or bool(self.generations.live.note("complete"))

    def _session(self, admin: AdminClient) -> None:
        """Follow the topic for as long as it stays the same."""
        seen = self.look(admin)
        if seen is None:
            self._wait_for_the_topic()
            return
        store = self._copy_for(seen, admin)
        consumer = Consumer(self._consumer_config())
        try:
            watermarks = {
                partition: consumer.get_watermark_offsets(TopicPartition(self._topic, partition), REQUEST_SECONDS)
                for partition in range(seen.partitions)
            }
            positions = store.offsets()
            reason = cut(positions, watermarks)
            if reason is not None:
                raise _Refused(reason)
            positions = {partition: low for partition, (low, _) in watermarks.items()} | positions
            consumer.assign([TopicPartition(self._topic, *place) for place in positions.items()])
            _Following(self, admin, consumer, store, seen, positions, watermarks).run()
        finally:
            consumer.close()
            if store is not self.generations.live:
                store.close()

    def look(self, admin: AdminClient) -> Identity | None:
        """Return the topic's identity as it is now; None where the topic does not exist."""
        wanted = TopicCollection([self._topic])
        try:
            topic = admin.describe_topics(wanted, request_timeout=REQUEST_SECONDS)[self._topic].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            topic = None
        self.contact = time.monotonic()
        if topic is None:
            return None
        cluster = admin.describe_cluster(request_timeout=REQUEST_SECONDS).result().cluster_id
        topic_id = topic.topic_id
        identity = f"{topic_id.get_most_significant_bits():x}-{topic_id.get_least_significant_bits():x}"
        return Identity(cluster, identity, len(topic.partitions), FORMAT)

    def _copy_for(self, seen: Identity, admin: AdminClient) -> Store:
        """Return the copy to follow the topic with: the live one, or a new one beside it."""
        live = self.generations.live
        known, complete_ms = live.note("identity"), live.note("complete") or live.note("begun")
        away_ms = _now_ms() - int(complete_ms) if complete_ms else 0
        action, reason = verdict(known, seen, away_ms, self._retention_ms(admin))
        if action == "refuse":
            raise _Refused(reason)
        if action == "go on":
            store = live
        else:
            logger.warning("rebuilding beside the old data: %s", reason)
            self.report(Progress("stale" if self.has_data else "replaying", serves=self.has_data, reason=reason))
            store = self.generations.build()
        if store.note("identity") is None:
            store.write_notes(identity=seen.noted(), begun=_now_ms())
        return store

    def _retention_ms(self, admin: AdminClient) -> int:
        resource = ConfigResource(ResourceType.TOPIC, self._topic)
        try:
            described = admin.describe_configs([resource], request_timeout=REQUEST_SECONDS)[resource].result()
            return int(described["delete.retention.ms"].value)
        except KafkaException as error:
            logger.warning("cannot read the topic's delete.retention.ms, taking a day: %s", error.args[0].str())
            return DEFAULT_RETENTION_MS

    def _wait_for_the_topic(self) -> None:
        reason = f"the topic {self._topic} (USER_INFO_TOPIC) does not exist yet; the joiner makes it"
        self.report(Progress("stale" if self.has_data else "starting", serves=self.has_data, reason=reason))

    def _without_kafka(self, error: KafkaException) -> None:
        silent = time.monotonic() - self.contact
        reason = f"no answer from Kafka at {self.servers} for {silent:.0f} s: {error.args[0].str()}"
        if self.has_data and (self.ready or time.monotonic() - self._began > PATIENCE_SECONDS):
            self.ready = True
            self.report(Progress("stale", serves=True, reason=reason))
        else:
            self.report(Progress("starting", reason=reason))

    def report(self, progress: Progress) -> None:
        """Publish how things stand, and log it where it is news or was last said a while ago."""
        news = progress.state != self.progress.state
        self.progress = replace(progress, complete_at=self.complete_at)
        if news or (progress.state != "ready" and time.monotonic() >= self._remind_at):
            self._remind_at = time.monotonic() + REMIND_SECONDS
            level = logging.INFO if progress.state in {"ready", "replaying"} else logging.WARNING
            share = "" if progress.percent is None else f" {progress.percent} %, {progress.applied} records"
            logger.log(level, "%s%s%s", progress.state, share, f": {progress.reason}" if progress.reason else "")

    def _consumer_config(self) -> dict[str, object]:
        return {
            **self._client,
            # librdkafka wants a group's name; nothing is ever stored under it.
            "group.id": "user-info-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,
            "max.partition.fetch.bytes": MAX_MESSAGE_BYTES,
            "fetch.wait.max.ms": 20,
            "queued.max.messages.kbytes": 32 * 1024,
        }


class _Following:
    """One topic as it is, followed into one copy."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a session has found out
        self,
        replicator: Replicator,
        admin: AdminClient,
        consumer: Consumer,
        store: Store,
        seen: Identity,
        positions: dict[int, int],
        watermarks: Mapping[int, tuple[int, int]],
    ) -> None:
        self._replicator = replicator
        self._admin = admin
        self._consumer = consumer
        self._store = store
        self._seen = seen
        self._positions = positions
        self._first = sum(low for low, _ in watermarks.values())
        self._ends = {partition: end for partition, (_, end) in watermarks.items()}
        self._at_end: set[int] = set()
        self._held: dict[int, float] = {}
        self._begun = time.monotonic()
        self._begun_at = sum(positions.values())
        self._sync_at = 0.0
        self._caught_up = False
        self._trouble: str | None = None

    def run(self) -> None:
        """Apply batch after batch until told to stop, or until the topic is another one."""
        replicator = self._replicator
        look_at = time.monotonic() + LOOK_SECONDS
        while not replicator.stopping.is_set():
            messages = self._consumer.consume(BATCH, POLL_SECONDS)
            if not self._take(messages):
                return
            self._settle()
            now = time.monotonic()
            if now >= look_at:
                look_at = now + LOOK_SECONDS
                if not self._same_topic():
                    return
            if now >= self._sync_at:
                self._sync_at = now + SYNC_SECONDS
                self._store.sync()
                if self._caught_up and len(self._at_end) == self._seen.partitions and self._trouble is None:
                    self._store.write_notes(complete=_now_ms())

    def _take(self, messages: list[Message]) -> bool:
        """Apply a batch; return False where the topic must be looked at anew."""
        records: list[Record] = []
        following: dict[int, int] = {}
        for message in messages:
            error, partition = message.error(), message.partition()
            if error is None:
                self._at_end.discard(partition)
                following[partition] = message.offset() + 1
                record = self._record(message)
                if record is not None:
                    records.append(record)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the library names its own codes so
                # Past the markers of transactions, which take offsets and never arrive.
                following[partition] = max(message.offset(), self._positions[partition])
                self._at_end.add(partition)
            else:
                logger.warning("reading %s[%s]: %s", message.topic(), partition, error.str())
                return False
        if any(self._positions[partition] != offset for partition, offset in following.items()):
            self._write(records, following)
        return True

    def _record(self, message: Message) -> Record | None:
        key = message.key()
        if key is not None and key.startswith(RESERVED_KEY_PREFIX):
            return None
        if not key or len(key) > MAX_ID_BYTES or not _is_utf8(key):
            self._replicator.bad_keys += 1
            logger.warning(
                "skipping a record whose key is no id: %s[%d]@%d",
                message.topic(),
                message.partition(),
                message.offset(),
            )
            return None
        return Record(key, message.value(), message.partition(), message.offset(), message.timestamp()[1])

    def _write(self, records: list[Record], following: dict[int, int]) -> None:
        """Have the store take a batch, however long that needs: nothing is skipped."""
        while not self._replicator.stopping.is_set():
            try:
                self._store.apply(records, following)
            except MapFullError:
                self._replicator.where_reads_happen(self._store.grow)
            except StoreFullError as full:
                self._trouble = str(full)
                self._settle()
                self._replicator.stopping.wait(LOOK_SECONDS)
            else:
                self._positions.update(following)
                self._trouble = None
                return

    def _settle(self) -> None:
        """Publish how far it is; the first time that the ends are reached, go live."""
        replicator = self._replicator
        if not self._caught_up and all(self._positions[p] >= end for p, end in self._ends.items()):
            self._caught_up = True
            self._store.write_notes(complete=_now_ms())
            if self._store is not replicator.generations.live:
                old = replicator.generations.swap(self._store)
                replicator.where_reads_happen(lambda: Generations.drop(old))
            replicator.ready = True
        if self._caught_up:
            self._note_what_is_held()
        applied = sum(self._positions.values()) - self._first
        target = max(sum(self._ends.values()) - self._first, applied)
        if self._caught_up:
            state: State = "ready" if self._trouble is None else "stale"
            replicator.report(Progress(state, True, applied, target, 0.0, self._trouble))
            return
        left = seconds_left(self._begun_at - self._first, applied, target, time.monotonic() - self._begun)
        serves = replicator.ready or (self._store is not replicator.generations.live and replicator.has_data)
        reason = self._trouble or replicator.progress.reason if serves else self._trouble
        replicator.report(Progress("stale" if serves else "replaying", serves, applied, target, left, reason))

    def _note_what_is_held(self) -> None:
        now, replicator = time.monotonic(), self._replicator
        self._held.update(dict.fromkeys(self._at_end, now))
        held = [self._held.get(partition) for partition in self._ends]
        replicator.complete_at = complete_at(held, replicator.contact, now, 2 * LOOK_SECONDS) or replicator.complete_at

    def _same_topic(self) -> bool:
        """Tell whether the topic is still the one that is followed; Kafka's silence changes nothing of that."""
        try:
            same = self._replicator.look(self._admin) == self._seen
        except KafkaException as error:
            silent = time.monotonic() - self._replicator.contact
            self._trouble = (
                f"no answer from Kafka at {self._replicator.servers} for {silent:.0f} s: {error.args[0].str()}"
            )
            return True
        self._trouble = None
        return same


def _is_utf8(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
