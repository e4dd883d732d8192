"""Carries a build on: finds out when the sources are whole, announces what is joined, takes back who is gone.

What follows from it for a part is decided in joiner.core.build. This thread writes outside the loop's transactions, and
only about what those have committed: so what it says lies behind that data in every part, whoever owns the part by
then, and saying it again does no harm.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import replace

from confluent_kafka import KafkaException

from joiner.background.progress import CommittedProgress
from joiner.context import Context
from joiner.core.build import BUILD_KEY, ENDS, HEARTBEAT, RULES, Build, Notice, find_rule
from joiner.core.records import PartitionId
from joiner.kafka.ledger import BUILD, Ledger
from joiner.kafka.newest_rows import read_newest_documents
from joiner.kafka.offsets import read_extents
from joiner.kafka.producer import NewRecord, open_producer, write_all
from joiner.kafka.taking_back import request_unwritten
from joiner.settings import JoinerSettings
from shared.errors import KafkaError, RegistryError
from shared.threads import BackgroundThread

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1
RETRY_SECONDS = 2.0

ASK_SECONDS = 1.0
"""How often is asked whether the sources are whole."""

REMIND_SECONDS = 60.0
"""How often a build that waits for them says so again."""


def describe_wait(settings: JoinerSettings) -> str:
    """Return what a build waits for until the sources are whole, for people."""
    if settings.relies_on_heartbeats:
        return f"a heartbeat of the source's connector in the topic {settings.heartbeats_topic}"
    return "the end of the snapshot that a connector writes"


def advise_wait(settings: JoinerSettings) -> str:
    """Return what is to be done if what a build waits for does not come."""
    if settings.relies_on_heartbeats:
        return (
            "none comes while a snapshot is written; afterwards see that the connector runs and writes there, or start"
            " the joiners without HEARTBEATS_TOPIC, and the rows themselves decide"
        )
    return "see that the connector runs"


class BuildRelay(BackgroundThread):
    """Works in rounds until it is stopped.

    `CommittedProgress` is shared with the loop, health with the HTTP thread; all else is this thread's own.

    Args:
        context: what the process keeps.
        sources: every source partition, including those that other joiners read.
        parts: how many partitions the internal topic has.
        progress: what the loop has committed, and the group's build.
    """

    stop_seconds = 3.0

    def __init__(self, context: Context, sources: list[PartitionId], parts: int, progress: CommittedProgress) -> None:
        super().__init__("builds")
        self._context = context
        self._settings = context.settings
        self._sources = sources
        self._parts = parts
        self._progress = progress
        self._ledger = Ledger(context.client, context.settings.ledger_topic)
        self._producer = open_producer(context.client)
        self._announced: set[PartitionId] = set()
        self._taken_back: set[int] = set()
        self._ask_at = 0.0
        self._remind_at = time.monotonic() + REMIND_SECONDS
        self._is_complete = False

    def start(self) -> None:
        """Start the thread, and say in the log and at /readyz what the build waits for."""
        build = self._progress.build
        if build is not None:
            self._say(build)
        super().start()

    def _run(self) -> None:
        while not self.stopping.wait(TICK_SECONDS):
            build = self._progress.build
            if build is None:
                return
            try:
                if build.ends is None:
                    self._find_ends(build)
                else:
                    self._announce(build)
                    self._take_back(build)
                    self._note_end(build)
            except (KafkaException, KafkaError, RegistryError) as error:
                logger.warning("the build: %s; trying again", error)
                self.stopping.wait(RETRY_SECONDS)
            except Exception:
                logger.exception("the build does not go on; trying again")
                self.stopping.wait(RETRY_SECONDS)

    def _say(self, build: Build) -> None:
        """Say by which rule the sources are whole, or what is waited for until they are."""
        waiting = f"waiting for {self._progress.waits_for}; {advise_wait(self._settings)}"
        said = waiting if build.rule is None else RULES[build.rule]
        self._context.health.build = said
        logger.info("the build %s: %s", build.id, said)

    def _find_ends(self, build: Build) -> None:
        """Note up to where the sources must be joined, once they are whole; one joiner of the group does so for all."""
        if time.monotonic() < self._ask_at:
            return
        self._ask_at = time.monotonic() + ASK_SECONDS
        if time.monotonic() >= self._remind_at:
            self._remind_at = time.monotonic() + REMIND_SECONDS
            logger.warning(
                "the build %s is still waiting for %s; %s",
                build.id,
                self._progress.waits_for,
                advise_wait(self._settings),
            )
        noted = self._ledger.read().build
        if noted is not None and noted.id == build.id and noted.ends is not None:
            self._adopt(noted)
        elif self._progress.owns((self._settings.user_info_changes_topic, 0)):
            rule = self._find_rule()
            if rule is not None:
                ends = {each: extent.high for each, extent in read_extents(self._context.admin, self._sources).items()}
                whole = replace(build, rule=rule, ends=ends)
                self._ledger.write({BUILD: whole.encode()})
                self._adopt(whole)

    def _find_rule(self) -> str | None:
        if self._settings.relies_on_heartbeats:
            return HEARTBEAT if self._progress.beats_stream else None
        newest = read_newest_documents(self._context.admin, self._context.client, self._sources, self._context.avro)
        return find_rule(newest)

    def _adopt(self, build: Build) -> None:
        self._progress.build = build
        self._say(build)

    def _announce(self, build: Build) -> None:
        """Announce to every part the source partitions of this process that are joined up to the build's ends."""
        ends = build.ends or {}
        positions = self._progress.positions()
        joined = [each for each, end in ends.items() if positions.get(each, -1) >= end and each not in self._announced]
        if joined:
            self._write(Notice(build.id, joined, len(self._sources)), range(self._parts))
            self._announced.update(joined)

    def _take_back(self, build: Build) -> None:
        """Request what is in user-info from before the build, of parts that have written each user."""
        topic = self._settings.user_info_changes_topic
        for number in range(self._parts):
            part = self._progress.part(number)
            if part is None or part.phase != "taking-back" or number in self._taken_back:
                continue
            requested = request_unwritten(
                self._context.client, self._settings.user_info_topic, topic, build.user_info_ends, (number, self._parts)
            )
            self._write(Notice(build.id, taken_back=True), [number])
            self._taken_back.add(number)
            logger.info("requested %d records of part %d that the build had not written", requested, number)

    def _note_end(self, build: Build) -> None:
        """Say when all parts of this process are whole."""
        topic = self._settings.user_info_changes_topic
        parts = [self._progress.part(number) for number in range(self._parts) if self._progress.owns((topic, number))]
        is_complete = bool(parts) and all(part is not None and part.phase == "whole" for part in parts)
        if is_complete and not self._is_complete:
            logger.info("the build is complete: all records of this joiner's %d parts are whole", len(parts))
            self._context.health.build = f"complete: {RULES[build.rule or ENDS]}"
        self._is_complete = is_complete

    def _write(self, notice: Notice, parts: Iterable[int]) -> None:
        records = [NewRecord(BUILD_KEY, notice.encode(), part) for part in parts]
        write_all(self._producer, self._settings.user_info_changes_topic, records)
