"""What becomes of a reader's copy: it is continued, rebuilt next to the old one, or refused with a reason."""

from dataclasses import replace

import pytest

from replication.compatibility import CopyIdentity, decide, find_gap

HOUR_MS = 3_600_000
TOPIC = CopyIdentity(cluster="c1", topic="t1", partitions=3, format=1)


def test_a_copy_of_the_same_topic_is_continued() -> None:
    """So does one that holds nothing yet, and one that was away for as long as the topic remembers deletions."""
    assert ("continue", None) == decide(TOPIC.to_note(), TOPIC, 0, HOUR_MS)
    assert ("continue", None) == decide(TOPIC.to_note(), TOPIC, HOUR_MS, HOUR_MS)
    assert ("continue", None) == decide(None, TOPIC, 0, HOUR_MS)


@pytest.mark.parametrize(
    ("seen", "away_ms", "reason"),
    [
        (replace(TOPIC, cluster="c2"), 0, "another Kafka cluster"),
        (replace(TOPIC, topic="t2"), 0, "deleted and created again"),
        (replace(TOPIC, format=2), 0, "format that this version does not write"),
        (replace(TOPIC, topic="t2", partitions=5), 0, "deleted and created again"),
        (TOPIC, HOUR_MS + 1, "last complete 3600 s ago, and the topic keeps tombstones for 3600 s"),
    ],
)
def test_a_copy_of_something_else_or_one_too_old_is_rebuilt(seen: CopyIdentity, away_ms: int, reason: str) -> None:
    """A topic that is another one, a new format, deletions that may be forgotten: the topic itself is whole."""
    decided = decide(TOPIC.to_note(), seen, away_ms, HOUR_MS)
    assert "rebuild" == decided.action
    assert reason in str(decided.reason)


@pytest.mark.parametrize("away_ms", [0, HOUR_MS + 1])
def test_partitions_added_in_place_are_refused(away_ms: int) -> None:
    """The topic itself is no longer sound, so that rebuilding from it would not be either."""
    decided = decide(TOPIC.to_note(), replace(TOPIC, partitions=5), away_ms, HOUR_MS)
    assert "refuse" == decided.action
    assert "had 3 partitions and has 5" in str(decided.reason)
    assert "USER_INFO_TOPIC" in str(decided.reason)


@pytest.mark.parametrize(
    ("position", "watermarks", "said"),
    [
        (10, (0, 20), None),
        (10, (10, 20), None),
        (10, (0, 10), None),
        (0, (0, 0), None),
        (10, (11, 20), "partition 1 of the topic begins at 11, after 10"),
        (10, (0, 9), "partition 1 of the topic ends at 9, before 10"),
    ],
)
def test_a_log_must_hold_the_position_to_continue_from(
    position: int, watermarks: tuple[int, int], said: str | None
) -> None:
    """Cut above it, records are missing in between; cut below it, what was read never was."""
    reason = find_gap({0: 5, 1: position}, {0: (0, 5), 1: watermarks, 2: (0, 0)}, "begin anew")
    assert (said is None) == (reason is None)
    assert (said or "") in (reason or "")
