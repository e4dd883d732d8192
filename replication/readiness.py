"""How far the reader is: the states of `/readyz`, and the estimate of what is left. Pure: no clock is read."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from shared.clock import MAX_AHEAD_MS

State = Literal["starting", "replaying", "building", "ready", "stale", "failed"]


@dataclass(frozen=True, slots=True)
class Readiness:
    """How far the reader is. Never changed, so that any thread may read it.

    Args:
        state: starting: nothing to serve yet, and nothing to read; replaying: reading towards the ends that it saw at
            start; building: it has reached them, but the joiner has not finished the values there; ready: it has
            reached them; stale: it serves what it has, for a reason; failed: it cannot continue by itself, for a
            reason.
        serves: whether user reads are served; a failed reader continues to serve what it had.
        applied: records of the topic, by offset, that the store has applied.
        target: records, by offset, that the topic had when that was last read.
        seconds_left: until the replay ends, or the build; None until there is a rate to estimate by.
        reason: as a message for the operator.
        complete_at: when the store last held all that the topic had, on this machine's monotonic clock.
        fresh_ms: the watermark: source time, epoch ms, up to which all changes are in the store, by the heartbeats in
            it; None if some partition has no heartbeat.
        max_staleness_seconds: how old that may be before a load balancer should stop sending requests; None: no
            limit.
        build_percent: how much of the joiner's build is done; None where none is under way, or it does not say.
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
    build_percent: float | None = None

    @property
    def accepts_traffic(self) -> bool:
        """Whether a load balancer should send requests."""
        return self.state in {"ready", "stale"}

    def staleness_seconds(self, now_ms: int) -> float | None:
        """Return how old the served data may be by the source's clock.

        Args:
            now_ms: the wall clock, epoch ms.

        Returns:
            None without heartbeats, and where they are from the future: one of the clocks is wrong then.
        """
        if self.fresh_ms is None or self.fresh_ms > now_ms + MAX_AHEAD_MS:
            return None
        return max(0.0, (now_ms - self.fresh_ms) / 1000)

    def explain_staleness(self, now_ms: int) -> str | None:
        """Return why a load balancer should send requests elsewhere nevertheless, as a message; None if it need not."""
        if self.max_staleness_seconds is None or not self.accepts_traffic:
            return None
        staleness = self.staleness_seconds(now_ms)
        limit = f"READER_MAX_STALENESS_SECONDS={self.max_staleness_seconds:g}"
        if staleness is None and self.fresh_ms is not None:
            ahead = (self.fresh_ms - now_ms) / 1000
            return f"{limit}, but the newest heartbeat is {ahead:.1f} s in the future; set this machine's clock"
        if staleness is None:
            return f"{limit}, but no heartbeat says how stale this is; does the joiner have HEARTBEATS_TOPIC?"
        if staleness > self.max_staleness_seconds:
            return f"the newest heartbeat is {staleness:.1f} s old; {limit}"
        return None

    @property
    def percent(self) -> float | None:
        """How much of the topic is in the store; while the joiner builds it, how much of that is done."""
        if self.state == "building":
            return self.build_percent
        if self.applied is None or self.target is None:
            return None
        return 100.0 if self.applied >= self.target else round(100 * self.applied / self.target, 1)

    def to_document(self) -> dict[str, object]:
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
    """Estimate how many seconds a replay still takes, at its rate so far; None until there is a rate.

    Args:
        first: where this replay began.
        applied: where it is.
        target: where it ends.
        seconds: how long it has taken so far.
    """
    if applied >= target:
        return 0.0
    if applied <= first or seconds <= 0:
        return None
    return round((target - applied) * seconds / (applied - first), 1)


def find_complete_at(
    held_at: Iterable[float | None], contact: float, now: float, timeout_seconds: float
) -> float | None:
    """Return when the store last held all that the topic had; None if it never did.

    Args:
        held_at: for each partition, when its end was last in the store; None if it never was.
        contact: when Kafka last answered; the topic may have changed since.
        now: the clock.
        timeout_seconds: how long Kafka may be silent, since it is asked at intervals.
    """
    moments = [contact] if now - contact > timeout_seconds else []
    for moment in held_at:
        if moment is None:
            return None
        moments.append(moment)
    return min(moments, default=None)
