"""For how long a joiner may answer after Kafka has confirmed that its partitions are still its own. Pure.

Each commit names the joiner's place in its group, and Kafka refuses one whose place another has taken. So a commit that
succeeds confirms that until it began nobody else owned the partitions. From that moment on the joiner answers for
LEASE_SECONDS and no longer, whatever happens to it; and a joiner that is assigned partitions answers for none of them
before HANDOVER_SECONDS are over. So an answer of the former joiner is never later than one of the next, although
neither asks the other, and although a process may be paused and a machine cut off without noticing.
"""

from shared.clock import Moment

LEASE_SECONDS = 3.0
"""How long a confirmation lasts. All joiners of a group must agree on it: it is no setting."""

HANDOVER_SECONDS = LEASE_SECONDS + 0.5
"""How long after its assignment a joiner waits; the margin is for clocks that do not run alike."""

RENEW_SECONDS = 1.0
"""How old a confirmation becomes before an idle joiner asks for the next one: two may fail."""

MOST_COMMIT_SECONDS = 1.0
"""The longest interval between commits that leaves time for the commit itself."""


def lasts(confirmed: Moment, now: Moment) -> bool:
    """Return whether a confirmation still holds.

    By both clocks: while a machine is suspended its monotonic clock may stand still, and the wall clock may be set. One
    that was set ends the lease, at most until the next confirmation.
    """
    return all(0 <= later - earlier < LEASE_SECONDS for earlier, later in zip(confirmed, now, strict=True))
