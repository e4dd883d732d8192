"""Whether a copy and a topic belong together, and what to do if they do not. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from shared.shards import Shard, Share


@dataclass(frozen=True, slots=True)
class CopyIdentity:
    """What a copy is a copy of.

    Args:
        cluster: Kafka's cluster id.
        topic: the topic's id; a topic that is created again under the same name has another one.
        partitions: how many the topic has.
        format: version of what the copy is written as.
        shard: which of its partitions, k/n; None: all.
    """

    cluster: str
    topic: str
    partitions: int
    format: int
    shard: str | None = None

    def to_note(self) -> dict[str, Any]:
        """Return the identity as it is noted next to the data: one of all partitions as before there were shards."""
        return {fact: value for fact, value in asdict(self).items() if value is not None}

    @property
    def share(self) -> Share:
        """The part of the topic that the copy is of."""
        return Share(self.partitions, None if self.shard is None else Shard.parse(self.shard))


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
    refusal = _find_refusal(known, seen)
    if refusal is not None:
        return CopyDecision("refuse", refusal)
    reason = None if known is None else _compare(known, seen)
    if reason is None and known is not None and ms_since_complete > tombstone_retention_ms:
        reason = (
            f"the data was last complete {ms_since_complete // 1000} s ago, and the topic keeps tombstones for"
            f" {tombstone_retention_ms // 1000} s"
        )
    return CopyDecision("continue" if reason is None else "rebuild", reason)


def _find_refusal(known: Mapping[str, Any] | None, seen: CopyIdentity) -> str | None:
    """Return why there is no sound way to have a copy of the topic, as a message; None if there is one."""
    shard = seen.share.shard
    if shard is not None and shard.of > seen.partitions:
        return (
            f"READER_SHARD={shard} names more shards than the topic has partitions, which is {seen.partitions};"
            " have as many shards at most"
        )
    if known is None or _find_other_origin(known, seen) is not None or known["partitions"] == seen.partitions:
        return None
    return (
        f"the topic had {known['partitions']} partitions and has {seen.partitions}: the same user's records may now"
        " be in two of them; build a new topic with the new count and point USER_INFO_TOPIC to it"
    )


def _compare(known: Mapping[str, Any], seen: CopyIdentity) -> str | None:
    """Return what the data is a copy of, if not of what is wanted now, as a message; else None."""
    other = _find_other_origin(known, seen)
    if other is not None or known.get("shard") == seen.shard:
        return other
    before, now = (f"shard {shard}" if shard else "all users" for shard in (known.get("shard"), seen.shard))
    return f"the data is of {before}, and READER_SHARD asks for {now}"


def _find_other_origin(known: Mapping[str, Any], seen: CopyIdentity) -> str | None:
    """Return why the data is not one of this topic's, as a message; None if it is."""
    for fact, reason in (
        ("cluster", "the topic is in another Kafka cluster than the data came from"),
        ("topic", "the topic was deleted and created again"),
        ("format", "the data is of a format that this version does not write"),
    ):
        if known.get(fact) != getattr(seen, fact):
            return reason
    return None


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
