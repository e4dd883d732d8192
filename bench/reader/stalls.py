"""Why answers were slow: each stall with what an idle loop and the reader's own threads did at that moment. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.load.threads import Sample, compute_difference

Gap = Sequence[float]
"""When an idle loop was not woken in time, by the monotonic clock, and for how many seconds."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Slow answers that overlap in time, and what happened meanwhile; all durations in ms.

    Args:
        at_seconds: since the load began.
        requests: how many answers it slowed past the limit.
        worst: latency of the slowest of them.
        machine: an idle loop on the reader's core got no core for so long.
        load: an idle loop on the load's core, or the load itself, was late by so much.
        ran: the reader's event loop was running.
        waited: it was ready to run and had no core.
        others: other threads of the reader were running.
    """

    at_seconds: float
    requests: int
    worst: float
    machine: float
    load: float
    ran: float | None
    waited: float | None
    others: float | None

    @property
    def cause(self) -> str:
        """Where most of the worst latency went.

        What the event loop waited for its core, less what the reader's other threads ran, some other program ran.
        """
        if self.machine >= self.worst / 2:
            return "machine"
        if self.load >= self.worst / 2:
            return "load"
        if (self.waited or 0) - (self.others or 0) >= self.worst / 2:
            return "another program"
        return "reader"

    def report(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        rounded = {name: round(value, 1) for name, value in asdict(self).items() if value is not None}
        return {**rounded, "cause": self.cause}


def explain_stalls(
    outliers: Sequence[dict[str, float]], reader_gaps: Sequence[Gap], load_gaps: Sequence[Gap], samples: list[Sample]
) -> list[Stall]:
    """Explain slow answers.

    Args:
        outliers: what `bench.load.open_loop` reports of them.
        reader_gaps: of the idle loop on the reader's core.
        load_gaps: of the one on the load's core.
        samples: of the reader's threads.
    """
    found = []
    first = min((outlier["due"] for outlier in outliers), default=0.0)
    for together in _group_overlapping(outliers):
        begin = min(outlier["due"] for outlier in together)
        end = max(outlier["due"] + outlier["latencyMs"] / 1000 for outlier in together)
        threads = compute_difference(samples, begin, end)
        late = max(*(outlier["lateMs"] for outlier in together), _overlap(load_gaps, begin, end))
        found.append(
            Stall(
                at_seconds=begin - first,
                requests=len(together),
                worst=max(outlier["latencyMs"] for outlier in together),
                machine=_overlap(reader_gaps, begin, end),
                load=late,
                ran=threads and 1000 * threads.ran,
                waited=threads and 1000 * threads.waited,
                others=threads and 1000 * threads.others,
            )
        )
    return found


def _group_overlapping(outliers: Sequence[dict[str, float]]) -> list[list[dict[str, float]]]:
    groups: list[list[dict[str, float]]] = []
    until = 0.0
    for outlier in sorted(outliers, key=lambda one: one["due"]):
        if not groups or outlier["due"] > until:
            groups.append([])
        groups[-1].append(outlier)
        until = max(until, outlier["due"] + outlier["latencyMs"] / 1000)
    return groups


def _overlap(gaps: Sequence[Gap], begin: float, end: float) -> float:
    """Return how much of a time lies in gaps, in ms."""
    return 1000 * sum(max(0.0, min(end, at + seconds) - max(begin, at)) for at, seconds in gaps)
