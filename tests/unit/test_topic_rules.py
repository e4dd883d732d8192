"""What the service needs of each topic: the rules that the joiner's start and the doctor share."""

import pytest

from shared import topics
from shared.topic_rules import Role, Severity, check_policy, check_size, check_topic, letter_room
from shared.topics import CREATION_CONFIG, MAX_MESSAGE_BYTES, MAX_RECORD_BYTES, SOURCE_MESSAGE_BYTES, TopicSpec


@pytest.mark.parametrize(
    ("role", "created"),
    [
        (Role.USER_INFO, topics.user_info_spec("topic", 8)),
        (Role.CHANGES, topics.user_info_changes_spec("topic", 8)),
        (Role.CHANGELOG, topics.changelog_spec("topic", 8)),
        (Role.DEAD_LETTERS, topics.dead_letters_spec("topic")),
        (Role.LEDGER, topics.ledger_spec("topic")),
        (Role.HEARTBEATS, topics.heartbeats_spec("topic")),
    ],
)
def test_a_topic_as_the_joiner_creates_it_breaks_no_rule(role: Role, created: TopicSpec) -> None:
    """The configuration that a topic is given and the one that is asked of it are the same."""
    assert [] == list(check_topic(role, "topic", {**CREATION_CONFIG, **created.config}, replicas=1))


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


KAFKAS_OWN = {
    "max.message.bytes": str(MAX_MESSAGE_BYTES),
    "message.timestamp.type": "CreateTime",
    "message.timestamp.before.max.ms": str(2**63 - 1),
    "message.timestamp.after.max.ms": "3600000",
    "min.insync.replicas": "1",
}
"""What a broker adds where nobody has set anything, but for the size."""

COMPACTED = {"cleanup.policy": "compact", **KAFKAS_OWN}
KEPT = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", **KAFKAS_OWN}


def test_the_services_own_topics_take_its_largest_record() -> None:
    """A smaller limit is a violation, but for topics of small records."""
    small = {"max.message.bytes": str(MAX_MESSAGE_BYTES - 1)}
    (violation,) = check_size(Role.USER_INFO, "topic user-info", small)
    assert Severity.REFUSES_RECORDS is violation.severity
    assert f"topic user-info refuses records over {MAX_MESSAGE_BYTES - 1} bytes" == violation.what
    assert [] == list(check_size(Role.LEDGER, "topic ledger", {"max.message.bytes": "1000000"}))
    (violation,) = check_size(Role.LEDGER, "topic ledger", {"max.message.bytes": "999999"})
    assert Severity.REFUSES_RECORDS is violation.severity


def test_a_source_topic_takes_the_largest_row_twice() -> None:
    """With REPLICA IDENTITY FULL, a changed row is in a record as it was and as it is."""
    assert [] == list(check_size(Role.SOURCE, "topic users", {"max.message.bytes": str(SOURCE_MESSAGE_BYTES)}))
    (violation,) = check_size(Role.SOURCE, "topic users", {"max.message.bytes": str(SOURCE_MESSAGE_BYTES - 1)})
    assert Severity.STOPS_SOURCE is violation.severity


@pytest.mark.parametrize(
    ("size", "room", "severity"),
    [
        (MAX_MESSAGE_BYTES, MAX_RECORD_BYTES, None),
        (1_048_588, 1_048_588 - 65_536, Severity.CUTS_LETTERS),
        (999_999, 999_999 - 65_536, Severity.REFUSES_RECORDS),
    ],
)
def test_dead_letters_are_cut_to_what_their_topic_takes(size: int, room: int, severity: Severity | None) -> None:
    """Below the size of a client's batch even small ones would be refused."""
    config = {"max.message.bytes": str(size)}
    assert [severity] * (severity is not None) == [
        violation.severity for violation in check_size(Role.DEAD_LETTERS, "topic letters", config)
    ]
    assert room == letter_room(config)


@pytest.mark.parametrize(
    ("role", "config", "severity", "what", "hint"),
    [
        (
            Role.USER_INFO,
            {"message.timestamp.type": "LogAppendTime", "message.timestamp.before.max.ms": "1"},
            Severity.LOSES_TIME,
            "the broker writes its own time over the source's",
            "message.timestamp.type=CreateTime",
        ),
        (
            Role.USER_INFO,
            {"message.timestamp.before.max.ms": "31536000000"},
            Severity.REFUSES_RECORDS,
            "message.timestamp.before.max.ms=31536000000: the broker refuses records that are older",
            "message.timestamp.before.max.ms=9223372036854775807",
        ),
        (
            Role.CHANGES,
            {"message.timestamp.before.max.ms": "1000"},
            Severity.REFUSES_RECORDS,
            "message.timestamp.before.max.ms=1000",
            "message.timestamp.before.max.ms=",
        ),
        (
            Role.CHANGELOG,
            {"message.timestamp.after.max.ms": "1000"},
            Severity.REFUSES_RECORDS,
            "records that are later",
            "message.timestamp.after.max.ms=",
        ),
        (
            Role.LEDGER,
            {"message.timestamp.difference.max.ms": "1000"},
            Severity.REFUSES_RECORDS,
            "further from its clock",
            "message.timestamp.difference.max.ms=",
        ),
        (
            Role.DEAD_LETTERS,
            {"cleanup.policy": "compact,delete"},
            Severity.REFUSES_RECORDS,
            "letters without a key are refused",
            "cleanup.policy=delete",
        ),
        (
            Role.USER_INFO,
            {"min.insync.replicas": "3"},
            Severity.DEPENDS_ON_BROKER,
            "replication factor 2 but min.insync.replicas=3",
            "min.insync.replicas=2",
        ),
    ],
)
def test_a_property_that_refuses_records_is_named_with_its_remedy(
    role: Role, config: dict[str, str], severity: Severity, what: str, hint: str
) -> None:
    """Each by itself, in a topic that is right otherwise."""
    (violation,) = check_topic(role, "topic t", (COMPACTED if role is not Role.CHANGES else KEPT) | config, replicas=2)
    assert severity is violation.severity
    assert f"topic t has {next(iter(config))}" in violation.what or "replication factor" in violation.what
    assert what in violation.what
    assert f"set {hint}" in violation.hint


def test_what_a_topic_carries_decides_how_old_its_records_may_be() -> None:
    """Only user-info carries the source's time; a broker that appends its own refuses none."""
    day = {"message.timestamp.before.max.ms": "86400000"}
    assert [] == list(check_topic(Role.CHANGES, "topic", KEPT | day))
    appended = {"message.timestamp.type": "LogAppendTime", "message.timestamp.before.max.ms": "1"}
    assert [] == list(check_topic(Role.CHANGES, "topic", KEPT | appended))
    assert [] == list(check_topic(Role.SOURCE, "topic", COMPACTED | {"max.message.bytes": "9000000"} | appended))
