"""How far the reader is: the states of `/readyz`, and the estimate of what is left. Pure; the clock is handed in."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["starting", "replaying", "ready", "stale", "failed"]


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the reader says of itself.

    Args:
        state: starting: nothing to serve yet, and nothing to read; replaying: reading towards the ends that it saw at
            start; ready: it has reached them; stale: it serves what it has, for a reason; failed: it will not go on
            by itself, for a reason.
        serves: whether user reads are answered; a failed reader goes on with what it had.
        applied: records, by offset, that the store has taken in of the topic.
        target: records, by offset, that the topic had when this was last looked at.
        seconds_left: until the replay ends, where there is a pace to judge by.
        reason: for people.
        complete_at: when the store last held all that the topic had, on this machine's monotonic clock.
        fresh_ms: source time, epoch ms, up to which all changes are in the store, by the heartbeats in it; None where
            it has none of some partition.
        max_staleness_seconds: how old that may be before traffic should go elsewhere; None: as old as it will.
    """

    state: State = "starting"
    serves: bool = False
    applied: int | None = None
    target: int | None = None
    seconds_left: float | None = None
    reason: str | None = None
    complete_at: float | None = None
    fresh_ms: int | None = None
    max_staleness_seconds: float | None = None

    @property
    def ready(self) -> bool:
        """Whether traffic should come here."""
        return self.state in {"ready", "stale"}

    def staleness_seconds(self, now_ms: int) -> float | None:
        """Return how old what is served may be by the source's clock; None where no heartbeats tell.

        Args:
            now_ms: the wall clock, epoch ms.
        """
        return None if self.fresh_ms is None else max(0.0, (now_ms - self.fresh_ms) / 1000)

    def why_too_stale(self, now_ms: int) -> str | None:
        """Return why traffic should go elsewhere though the reader is ready, for people; None where it need not."""
        if self.max_staleness_seconds is None or not self.ready:
            return None
        staleness, limit = (
            self.staleness_seconds(now_ms),
            f"READER_MAX_STALENESS_SECONDS={self.max_staleness_seconds:g}",
        )
        if staleness is None:
            return f"{limit}, but no heartbeat says how stale this is; does the joiner have HEARTBEATS_TOPIC?"
        if staleness > self.max_staleness_seconds:
            return f"the newest heartbeat is {staleness:.1f} s old; {limit}"
        return None

    @property
    def percent(self) -> float | None:
        """How much of the topic is in the store."""
        if self.applied is None or self.target is None:
            return None
        return 100.0 if self.applied >= self.target else round(100 * self.applied / self.target, 1)

    def report(self) -> dict[str, object]:
        """Return the body of `/readyz`."""
        return {
            "state": self.state,
            "applied": self.applied,
            "target": self.target,
            "percent": self.percent,
            "secondsLeft": self.seconds_left,
            "reason": self.reason,
        }


def estimate_seconds_left(first: int, applied: int, target: int, seconds: float) -> float | None:
    """Estimate how long a replay still takes, at the pace that it has had.

    Args:
        first: where this replay began.
        applied: where it is.
        target: where it ends.
        seconds: how long it has been going on.
    """
    if applied >= target:
        return 0.0
    if applied <= first or seconds <= 0:
        return None
    return round((target - applied) * seconds / (applied - first), 1)


def find_complete_at(held: Iterable[float | None], contact: float, now: float, patience: float) -> float | None:
    """Tell when the store last held all that the topic had; None where it never did.

    Args:
        held: for each partition, when its end was last in the store; None where it never was.
        contact: when Kafka last answered; what was not heard of since may have changed.
        now: the clock.
        patience: how long Kafka need not be heard of, being asked at intervals.
    """
    moments = [contact] if now - contact > patience else []
    for moment in held:
        if moment is None:
            return None
        moments.append(moment)
    return min(moments, default=None)
