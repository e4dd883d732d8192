"""How the doctor judges facts: a healthy deployment gets no advice, and each fault comes with what to do."""

import pytest

from doctor.checks import DoctorSettings, TopicFacts, Verdict, check_connector, check_tier, check_topics
from doctor.connector_config import check_connector_config
from shared.settings import read_settings
from stack.ops import read_connector

SETTINGS = read_settings(DoctorSettings)
COMPACTED = {"cleanup.policy": "compact", "max.message.bytes": "8912896", "retention.ms": "604800000"}
BOTH = {**COMPACTED, "cleanup.policy": "compact,delete"}
KEPT = {
    "cleanup.policy": "delete",
    "max.message.bytes": "8912896",
    "retention.ms": "-1",
    "retention.bytes": "-1",
}
LIMITED = {**KEPT, "retention.bytes": "1073741824"}
HEALTHY = {
    **{name: TopicFacts(4, 3, 3, COMPACTED) for name in ("users", "tweets", "follows", "likes", "user-info")},
    **{name: TopicFacts(8, 3, 3, KEPT) for name in ("user-info-changes", "user-info-dead-letters")},
}


def test_a_healthy_deployment_gets_no_advice() -> None:
    """One line for each topic, all well."""
    findings = list(check_topics(SETTINGS, HEALTHY))
    assert [(Verdict.WELL, "")] * 7 == [(finding.verdict, finding.hint) for finding in findings]


@pytest.mark.parametrize(
    ("topic", "facts", "verdict", "what", "hint"),
    [
        ("likes", None, Verdict.WRONG, "does not exist", "LIKES_TOPIC"),
        ("user-info", None, Verdict.WRONG, "does not exist", "the joiner creates it"),
        ("likes", TopicFacts(4, 3, 3, KEPT), Verdict.WRONG, "rows that nothing changes", "cleanup.policy=compact"),
        ("user-info", TopicFacts(4, 3, 3, KEPT), Verdict.WRONG, "users that nothing changes", "cleanup.policy=compact"),
        ("likes", TopicFacts(4, 3, 3, BOTH), Verdict.WRONG, "rows that nothing changes", "a new snapshot"),
        ("user-info", TopicFacts(4, 3, 3, BOTH), Verdict.WRONG, "users that nothing changes", "a reset"),
        ("user-info-changes", TopicFacts(8, 3, 3, COMPACTED), Verdict.WRONG, "lose changes", "retention.ms=-1"),
        ("user-info-changes", TopicFacts(8, 3, 3, LIMITED), Verdict.WRONG, "lose changes", "retention.bytes=-1"),
        (
            "user-info",
            TopicFacts(4, 3, 3, {**COMPACTED, "max.message.bytes": "1048588"}),
            Verdict.WRONG,
            "over 1048588 bytes",
            "max.message.bytes=4456448",
        ),
        (
            "users",
            TopicFacts(4, 3, 3, {**COMPACTED, "max.message.bytes": "5242880"}),
            Verdict.DOUBTFUL,
            "may be too large for it once changed",
            "max.message.bytes=8912896",
        ),
        (
            "user-info-dead-letters",
            TopicFacts(8, 3, 3, {**KEPT, "max.message.bytes": "1048588"}),
            Verdict.DOUBTFUL,
            "larger dead letters are cut",
            "max.message.bytes=4456448",
        ),
        (
            "user-info",
            TopicFacts(4, 3, 3, {**COMPACTED, "message.timestamp.type": "LogAppendTime"}),
            Verdict.WRONG,
            "the broker writes its own time",
            "message.timestamp.type=CreateTime, then restore what has already been lost with a reset of the joiner",
        ),
        (
            "user-info",
            TopicFacts(4, 3, 3, {**COMPACTED, "message.timestamp.before.max.ms": "1000"}),
            Verdict.WRONG,
            "the broker refuses records that are older",
            "message.timestamp.before.max.ms=9223372036854775807",
        ),
        (
            "user-info",
            TopicFacts(4, 2, 2, {**COMPACTED, "min.insync.replicas": "3"}),
            Verdict.DOUBTFUL,
            "min.insync.replicas=3",
            "more brokers",
        ),
        ("users", TopicFacts(4, 3, 2, COMPACTED), Verdict.DOUBTFUL, "2 of 3 replicas in sync", "broker is down"),
        ("users", TopicFacts(4, 1, 1, COMPACTED), Verdict.DOUBTFUL, "one replica", "three brokers"),
    ],
)
def test_a_problem_of_a_topic_comes_with_a_remedy(
    topic: str, facts: TopicFacts | None, verdict: Verdict, what: str, hint: str
) -> None:
    """Each fault is named with its topic, and what to do about it; the other topics stay well."""
    found = {name: known for name, known in HEALTHY.items() if name != topic} | ({topic: facts} if facts else {})
    (finding,) = (finding for finding in check_topics(SETTINGS, found) if finding.verdict != Verdict.WELL)
    assert verdict == finding.verdict
    assert f"topic {topic}" in finding.what
    assert what in finding.what
    assert hint in finding.hint


@pytest.mark.parametrize(
    ("status", "verdict", "what"),
    [
        (None, Verdict.WRONG, "gives no status"),
        ({"tasks": []}, Verdict.WRONG, "without a task"),
        ({"tasks": [{"state": "PAUSED"}]}, Verdict.WRONG, "PAUSED"),
        ({"tasks": [{"state": "FAILED", "trace": "slot is gone\n\tat x"}]}, Verdict.WRONG, "FAILED: slot is gone"),
        (
            {"tasks": [{"state": "FAILED", "trace": "a.B: no\n\tat x\nCaused by: c.D\nCaused by: e.F: big"}]},
            Verdict.WRONG,
            "FAILED: a.B: no, caused by e.F: big",
        ),
        ({"tasks": [{"state": "FAILED"}]}, Verdict.WRONG, "FAILED: no reason is given"),
        ({"tasks": [{"state": "RUNNING"}]}, Verdict.WELL, "1 task runs"),
        ({"tasks": [{"state": "RUNNING"}] * 2}, Verdict.WELL, "2 tasks run"),
    ],
)
def test_a_connector_is_well_only_with_a_task_that_runs(
    status: dict[str, object] | None, verdict: Verdict, what: str
) -> None:
    """Anything else comes with its reason and a way to restart it."""
    finding = check_connector("http://connect/connectors/user-info", status)
    assert verdict == finding.verdict
    assert what in finding.what
    assert (finding.verdict == Verdict.WELL) == (not finding.hint)


@pytest.mark.parametrize(
    ("tasks", "hint"),
    [
        ([{"state": "FAILED", "trace": "slot is gone"}], "fix the cause, then run: curl -X POST 'URL/restart"),
        (
            [{"state": "PAUSED"}],
            "resume or restart the connector: curl -X PUT URL/resume, or curl -X POST 'URL/restart",
        ),
        ([], "resume or restart the connector: "),
    ],
)
def test_a_connector_without_a_failure_has_nothing_to_fix(tasks: list[dict[str, str]], hint: str) -> None:
    """One that is paused, or has no task yet, is resumed or restarted."""
    assert check_connector("URL", {"tasks": tasks}).hint.startswith(hint)


@pytest.mark.parametrize(
    ("status", "report", "verdict"),
    [
        (None, {}, Verdict.WRONG),
        (503, {"state": "replaying", "reason": None}, Verdict.WRONG),
        (200, {"state": "stale", "reason": "no answer from Kafka"}, Verdict.DOUBTFUL),
        (200, {"state": "ready", "reason": None}, Verdict.WELL),
    ],
)
def test_a_tier_is_well_only_where_it_is_ready_without_a_reason(
    status: int | None, report: dict[str, object], verdict: Verdict
) -> None:
    """One that serves with a reason, such as old data, is doubtful; one that does not answer is wrong."""
    finding = check_tier("reader", "http://reader/readyz", status, report)
    assert verdict == finding.verdict
    assert (finding.verdict == Verdict.WELL) == (not finding.hint)


def test_a_reader_whose_topic_is_being_built_is_waited_for() -> None:
    """Its reason says for what, and there is nothing to do about it."""
    report = {"state": "building", "reason": "it waits for the snapshot"}
    finding = check_tier("reader", "http://reader/readyz", 503, report)
    assert "reader http://reader/readyz is building: it waits for the snapshot" == finding.what
    assert (Verdict.WRONG, True) == (finding.verdict, finding.hint.startswith("wait"))


FLATTENS = {"transforms": "route, flat", "transforms.flat.type": "io.debezium.transforms.ExtractNewRecordState"}
MODE = "transforms.flat.delete.tombstone.handling.mode"


@pytest.mark.parametrize(
    "config",
    [
        {},
        read_connector(),
        {"errors.tolerance": "none", "skipped.operations": "none", "snapshot.mode": "initial"},
        {"skipped.operations": "t"},
        FLATTENS,
        {**FLATTENS, MODE: "rewrite", "tombstones.on.delete": "false"},
        {**FLATTENS, MODE: "delete-to-tombstone", "tombstones.on.delete": "false"},
        {**FLATTENS, "transforms.flat.delete.handling.mode": "rewrite"},
        {**FLATTENS, "transforms.flat.drop.tombstones": "false"},
        {"transforms": "route", MODE: "drop"},
    ],
)
def test_a_connector_that_passes_every_change_on_gets_no_advice(config: dict[str, str]) -> None:
    """However it flattens rows."""
    assert [] == list(check_connector_config("URL", config))


@pytest.mark.parametrize(
    ("config", "verdict", "what", "hint"),
    [
        (
            {**FLATTENS, MODE: "drop"},
            Verdict.WRONG,
            "no deletion reaches the topics",
            f"set {MODE}=delete-to-tombstone",
        ),
        ({**FLATTENS, "tombstones.on.delete": "false"}, Verdict.WRONG, "no deletion reaches the topics", f"set {MODE}"),
        (
            {**FLATTENS, "transforms.flat.delete.handling.mode": "drop"},
            Verdict.WRONG,
            "no deletion reaches the topics",
            f"set {MODE}",
        ),
        (
            {"tombstones.on.delete": "false"},
            Verdict.DOUBTFUL,
            "compaction keeps every deleted row",
            "remove tombstones",
        ),
        ({"skipped.operations": "t, d"}, Verdict.WRONG, "skipped.operations=t, d", "remove skipped.operations, then"),
        ({"errors.tolerance": "all"}, Verdict.WRONG, "errors.tolerance=all", "remove errors.tolerance, then"),
        (
            {"event.processing.failure.handling.mode": "warn"},
            Verdict.WRONG,
            "cannot read are left out",
            "remove event.",
        ),
        ({"slot.drop.on.stop": "true"}, Verdict.WRONG, "while the connector is stopped", "remove slot.drop.on.stop"),
        ({"producer.override.acks": "1"}, Verdict.WRONG, "are lost with a broker", "remove producer.override.acks"),
        ({"snapshot.mode": "when_needed"}, Verdict.DOUBTFUL, "deleted meanwhile stay", "set snapshot.mode=initial"),
        (
            {"message.key.columns": "public.likes:like_id,user_id"},
            Verdict.DOUBTFUL,
            "message.key.columns=public.likes:like_id,user_id: an update of such a column leaves the row under",
            "set REPLICA IDENTITY FULL on these tables",
        ),
    ],
)
def test_a_connector_that_keeps_changes_back_is_named(
    config: dict[str, str], verdict: Verdict, what: str, hint: str
) -> None:
    """Counts would be wrong, and neither the joiner nor Kafka Connect could know."""
    (finding,) = check_connector_config("URL", config)
    assert verdict is finding.verdict
    assert what in finding.what
    assert hint in finding.hint
