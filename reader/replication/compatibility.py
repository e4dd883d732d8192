"""Whether a copy and a topic belong together, and what to do where they do not. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple


@dataclass(frozen=True, slots=True)
class CopyIdentity:
    """What a copy is a copy of.

    Args:
        cluster: Kafka's cluster id.
        topic: the topic's id, which a topic of the same name that was made anew does not share.
        partitions: how many the topic has.
        format: version of what the reader writes.
    """

    cluster: str
    topic: str
    partitions: int
    format: int

    def to_note(self) -> dict[str, Any]:
        """Return the identity as it is noted beside the data."""
        return asdict(self)


class Verdict(NamedTuple):
    """What to do: go on, rebuild beside the old data, or refuse; and why, for people."""

    action: Literal["go on", "rebuild", "refuse"]
    reason: str | None = None


def decide(known: Mapping[str, Any] | None, seen: CopyIdentity, away_ms: int, retention_ms: int) -> Verdict:
    """Decide what a copy is good for.

    Args:
        known: the identity noted beside the data; None where there is no data yet.
        seen: that of the topic as it is now.
        away_ms: how long ago the copy was last known to be complete.
        retention_ms: how long the topic remembers deletions, its `delete.retention.ms`.
    """
    if known is None:
        return Verdict("go on")
    for fact, reason in (
        ("cluster", "the topic is in another Kafka cluster than the data came from"),
        ("topic", "the topic was deleted and made anew"),
        ("format", "the data is of a format that this version does not write"),
    ):
        if known.get(fact) != getattr(seen, fact):
            return Verdict("rebuild", reason)
    if known["partitions"] != seen.partitions:
        return Verdict(
            "refuse",
            f"the topic had {known['partitions']} partitions and has {seen.partitions}: the same user's records may now"
            " lie in two of them; build a new topic with the new count and point USER_INFO_TOPIC to it",
        )
    if away_ms > retention_ms:
        return Verdict(
            "rebuild",
            f"the data was last complete {away_ms // 1000} s ago, and the topic remembers deletions for"
            f" {retention_ms // 1000} s",
        )
    return Verdict("go on")


def find_gap(positions: Mapping[int, int], watermarks: Mapping[int, tuple[int, int]]) -> str | None:
    """Tell whether the topic's log was cut above or below where a copy goes on; return why, for people.

    Args:
        positions: partition -> the offset to go on from.
        watermarks: partition -> the log's first offset and its end.
    """
    for partition, position in sorted(positions.items()):
        first, end = watermarks[partition]
        if position < first:
            what = f"begins at {first}, after {position}, where this reader's data ends: records in between are gone"
        elif position > end:
            what = f"ends at {end}, before {position}, which this reader has read: it has lost records"
        else:
            continue
        return (
            f"partition {partition} of the topic {what}; rebuild the topic with the joiner, or, if it is complete all"
            " the same, stop the reader, delete its READER_STATE_DIR and start it"
        )
    return None
