"""Whether a copy and a topic belong together, and what to do if they do not. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple


@dataclass(frozen=True, slots=True)
class CopyIdentity:
    """What a copy is a copy of.

    Args:
        cluster: Kafka's cluster id.
        topic: the topic's id; a topic that is created again under the same name has another one.
        partitions: how many the topic has.
        format: version of what the copy is written as.
    """

    cluster: str
    topic: str
    partitions: int
    format: int

    def to_note(self) -> dict[str, Any]:
        """Return the identity as it is noted next to the data."""
        return asdict(self)


class CopyDecision(NamedTuple):
    """What to do: continue with the copy, rebuild next to it, or refuse; and why, as a message."""

    action: Literal["continue", "rebuild", "refuse"]
    reason: str | None = None


def decide(
    known: Mapping[str, Any] | None, seen: CopyIdentity, ms_since_complete: int, tombstone_retention_ms: int
) -> CopyDecision:
    """Decide whether to continue with a copy.

    Args:
        known: the identity noted next to the data; None if there is no data yet.
        seen: the topic's identity now.
        ms_since_complete: how long ago the copy was last known to be complete.
        tombstone_retention_ms: how long the topic keeps tombstones, its `delete.retention.ms`.
    """
    if known is None:
        return CopyDecision("continue")
    for fact, reason in (
        ("cluster", "the topic is in another Kafka cluster than the data came from"),
        ("topic", "the topic was deleted and created again"),
        ("format", "the data is of a format that this version does not write"),
    ):
        if known.get(fact) != getattr(seen, fact):
            return CopyDecision("rebuild", reason)
    if known["partitions"] != seen.partitions:
        return CopyDecision(
            "refuse",
            f"the topic had {known['partitions']} partitions and has {seen.partitions}: the same user's records may now"
            " be in two of them; build a new topic with the new count and point USER_INFO_TOPIC to it",
        )
    if ms_since_complete > tombstone_retention_ms:
        return CopyDecision(
            "rebuild",
            f"the data was last complete {ms_since_complete // 1000} s ago, and the topic keeps tombstones for"
            f" {tombstone_retention_ms // 1000} s",
        )
    return CopyDecision("continue")


def find_gap(positions: Mapping[int, int], logs: Mapping[int, tuple[int, int]], remedy: str) -> str | None:
    """Return why a copy cannot continue, as a message, if the log was cut above or below its positions; else None.

    Args:
        positions: partition -> the next offset to read.
        logs: partition -> its log's first offset and its end.
        remedy: what to do if the topic is complete nevertheless, as words.
    """
    for partition, position in sorted(positions.items()):
        first, end = logs[partition]
        if position < first:
            what = f"begins at {first}, after {position}, where the copy ends: records in between are gone"
        elif position > end:
            what = f"ends at {end}, before {position}, which the copy has applied: it has lost records"
        else:
            continue
        return (
            f"partition {partition} of the topic {what}; rebuild the topic with the joiner, or, if it is complete"
            f" nevertheless, {remedy}"
        )
    return None
