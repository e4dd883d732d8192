"""Whether what a copy holds is whole values only, by the marks of the joiner's builds in it. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from shared.builds import BuildMark
from shared.parts import parts_of
from shared.shards import Share


class BuildProgress(NamedTuple):
    """How far a build is.

    Args:
        percent: how much of it is done; None where none is under way, or a part does not say.
        seconds_left: until its end; None likewise.
        waits_for: what it waits for, as a message; None where no part says.
    """

    percent: float | None = None
    seconds_left: float | None = None
    waits_for: str | None = None


class Wholeness:
    """The marks that a copy holds. Only the replicator thread uses it.

    Args:
        share: the part of the topic that it is a copy of.
    """

    def __init__(self, share: Share) -> None:
        self._share = share
        self._marks: dict[int, dict[int, BuildMark]] = {partition: {} for partition in share.held}
        self._progress: BuildProgress | None = None

    def note(self, partition: int, mark: BuildMark) -> None:
        """Note a mark that was applied, together with all that came before it in its partition.

        Args:
            partition: that it was in.
            mark: what it says.
        """
        marks = self._marks[partition]
        if any(other.parts != mark.parts for other in marks.values()):
            # The internal topic was created again with another number of partitions: the old parts are gone.
            marks.clear()
        marks[mark.part] = mark
        self._progress = None

    @property
    def whole(self) -> bool | None:
        """Whether the newest mark of every part says that its values are whole; None where there is no mark at all."""
        if not any(self._marks.values()):
            return None
        return all(mark is not None and mark.whole for mark in self._newest())

    @property
    def progress(self) -> BuildProgress:
        """How far the build is that is under way; asked for after every batch, so it is computed once for all marks."""
        if self._progress is None:
            self._progress = self._compute_progress()
        return self._progress

    def _compute_progress(self) -> BuildProgress:
        newest = list(self._newest())
        going = [mark for mark in newest if mark is None or not mark.whole or mark.percent is not None]
        if not going:
            return BuildProgress()
        # A part that is whole and says no percentage is done.
        percents = [100.0 if mark not in going else mark and mark.percent for mark in newest]
        seconds = [mark and mark.seconds_left for mark in going]
        reasons = (mark.waits_for for mark in going if mark is not None and mark.waits_for is not None)
        return BuildProgress(
            None if None in percents else round(sum(filter(None, percents)) / len(percents), 1),
            None if None in seconds else max(filter(None, seconds), default=0.0),
            next(reasons, None),
        )

    def _newest(self) -> Iterator[BuildMark | None]:
        """Yield each partition's newest mark of each part that feeds it; None where there is none yet."""
        for partition, marks in self._marks.items():
            if not marks:
                yield None
                continue
            parts = next(iter(marks.values())).parts
            yield from (marks.get(part) for part in parts_of(partition, self._share.partitions, parts))
