"""How far a session is, as readiness. Pure."""

from replication.readiness import Readiness, State, estimate_seconds_left
from replication.session import ReplicationSession, Writer


def describe_session(
    session: ReplicationSession[Writer], seconds: float, *, serves: bool, why: str | None, stall_reason: str | None
) -> Readiness:
    """Return how far a session is.

    Args:
        session: which.
        seconds: since it began.
        serves: whether whole values are served while it has not caught up.
        why: why it does not continue with the live copy, as a message; None if it does.
        stall_reason: why it makes no progress, as a message; None if it does.
    """
    positions = session.positions
    applied, target, progress = positions.applied, session.target, session.writer.wholeness.progress
    if session.caught_up:
        state: State = "ready" if stall_reason is None else "stale"
        return Readiness(state, True, applied, target, 0.0, stall_reason, build_percent=progress.percent)
    unfinished = session.unfinished
    if unfinished is not None:
        reasons = "; ".join(filter(None, (why, stall_reason or unfinished)))
        left, state = progress.seconds_left, "stale" if serves else "building"
        return Readiness(state, serves, applied, target, left, reasons, build_percent=progress.percent)
    left = estimate_seconds_left(positions.first, applied, target, seconds)
    reason = stall_reason or why or ("catching up with the topic" if serves else None)
    return Readiness("stale" if serves else "replaying", serves, applied, target, left, reason)
