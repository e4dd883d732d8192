"""What the service needs of each topic: the rules that the joiner's start and the doctor share."""

import pytest

from shared import topics
from shared.topic_rules import Role, Severity, check_policy, check_size
from shared.topics import MAX_MESSAGE_BYTES, TopicSpec


@pytest.mark.parametrize(
    ("role", "created"),
    [
        (Role.USER_INFO, topics.user_info_spec("topic", 8)),
        (Role.CHANGES, topics.user_info_changes_spec("topic", 8)),
        (Role.CHANGELOG, topics.changelog_spec("topic", 8)),
        (Role.DEAD_LETTERS, topics.dead_letters_spec("topic")),
    ],
)
def test_a_topic_as_the_joiner_creates_it_breaks_no_rule(role: Role, created: TopicSpec) -> None:
    """The configuration that a topic is given and the one that is asked of it are the same."""
    assert [] == [*check_policy(role, "topic", created.config), *check_size(role, "topic", created.config)]


@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
@pytest.mark.parametrize(
    ("role", "severity", "lost"),
    [
        (Role.SOURCE, Severity.LOSES_ROWS_ON_REBUILD, "rows that nothing changes are lost in time, and missing after"),
        (Role.USER_INFO, Severity.LOSES_DATA, "users that nothing changes are lost in time"),
        (Role.CHANGELOG, Severity.LOSES_DATA, "state that nothing changes is lost in time"),
    ],
)
def test_a_topic_of_newest_records_is_only_compacted(role: Role, severity: Severity, lost: str, policy: str) -> None:
    """`compact,delete` deletes the only record of a key that has not changed for longer than the retention."""
    (violation,) = check_policy(role, "topic likes", {"cleanup.policy": policy})
    assert severity is violation.severity
    assert f"topic likes has cleanup.policy={policy}: {lost}" in violation.what
    assert "set cleanup.policy=compact" == violation.hint


@pytest.mark.parametrize(
    "different", [{"cleanup.policy": "compact"}, {"retention.ms": "604800000"}, {"retention.bytes": "1073741824"}]
)
def test_differences_are_kept_until_they_are_read(different: dict[str, str]) -> None:
    """Each must be seen once: none may be replaced by a later one, or go with time or size."""
    config = topics.user_info_changes_spec("changes", 8).config
    (violation,) = check_policy(Role.CHANGES, "topic changes", config | different)
    assert Severity.LOSES_DATA is violation.severity
    assert "topic changes may lose changes before they are read" == violation.what
    assert "set cleanup.policy=delete, retention.ms=-1, retention.bytes=-1" == violation.hint


def test_the_services_own_topics_take_its_largest_record() -> None:
    """A smaller limit is a violation; how large rows are is the connector's business."""
    small = {"max.message.bytes": str(MAX_MESSAGE_BYTES - 1)}
    (violation,) = check_size(Role.USER_INFO, "topic user-info", small)
    assert Severity.REFUSES_RECORDS is violation.severity
    assert f"topic user-info refuses records over {MAX_MESSAGE_BYTES - 1} bytes" == violation.what
    assert [] == list(check_size(Role.SOURCE, "topic likes", small))
