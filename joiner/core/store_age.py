"""How old a local store may be: beyond that its changelog may have forgotten deletions that it has not seen. Pure."""

SAFETY_FACTOR = 2
"""A local store may lag by the time for which its changelog remembers deletions, divided by this. The rest is a margin:
for the time until the store has read on, for clocks that differ, and for replicas compacted at other times."""


def oldest_trusted_ms(now_ms: int, forgets_ms: int) -> int:
    """Return the time up to which a local store must hold its changelog; from there on no deletion can be missing.

    Args:
        now_ms: the time, epoch ms.
        forgets_ms: how long the changelog remembers deletions, its `delete.retention.ms`.
    """
    return now_ms - forgets_ms // SAFETY_FACTOR
