"""Says in `user-info` how far the build of each part is, inside the transaction that takes it there.

So a mark lies behind the records that it speaks of, and no joiner that has lost a part writes one. What marks promise
is in shared.builds; how far a part is, joiner.core.build decides.
"""

import time
from collections.abc import Iterator

from joiner.background.progress import CommittedProgress
from joiner.core.build import TAKING_BACK_PERCENT, WRITING_PERCENT, Build, BuildMeter, PartBuild
from joiner.engine.open_checkpoint import OpenCheckpoint
from joiner.kafka.topics import PreparedTopics
from shared.builds import BuildMark
from shared.parts import partitions_of

WRITING = "the record of each user to be written"
TAKING_BACK = "records of users that are gone to be taken back"


class BuildMarks:
    """Makes the marks of checkpoints. Used by the thread that closes them.

    Args:
        progress: what is committed; holds the group's build.
        prepared: the joiner's topics.
    """

    def __init__(self, progress: CommittedProgress, prepared: PreparedTopics) -> None:
        self._progress = progress
        self._prepared = prepared
        self._meter = BuildMeter()

    def make(self, closing: OpenCheckpoint, parts: dict[int, PartBuild]) -> Iterator[tuple[int, BuildMark]]:
        """Yield (partition of user-info, mark) for the parts that say so now, and those that have come further.

        Args:
            closing: the checkpoint that is written, its records included.
            parts: how far each part in it is.
        """
        build = self._progress.build
        if build is None:
            return
        for number, part in parts.items():
            committed = self._progress.part(number)
            has_come_further = committed is not None and committed.phase != part.phase
            if number in closing.marks_due or has_come_further:
                mark = self._describe(build, number, part)
                for partition in partitions_of(number, self._prepared.user_info_partitions, mark.parts):
                    yield partition, mark

    def _describe(self, build: Build, number: int, part: PartBuild) -> BuildMark:
        percent: float | None = None
        seconds_left: float | None = None
        waits_for: str | None = None
        if part.phase == "joining" and build.ends is None:
            waits_for = self._progress.waits_for
        elif part.phase == "joining" and build.ends is not None:
            percent, seconds_left = self._meter.measure(time.monotonic(), build.ends, self._progress.positions())
        elif part.phase == "writing":
            percent, waits_for = WRITING_PERCENT, WRITING
        elif part.phase == "taking-back":
            percent, waits_for = TAKING_BACK_PERCENT, TAKING_BACK
        is_whole = build.whole or part.phase == "whole"
        return BuildMark(
            number, self._prepared.changes_partitions, build.id, is_whole, percent, seconds_left, waits_for
        )
