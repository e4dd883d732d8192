"""Judges the facts about a deployment: what is wrong, and how to fix it. Pure.

Knows what the service needs of its topics and processes, and nothing of how the facts are gathered.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import Field

from doctor.connect_status import all_tasks_run, explain_restart, find_failure
from shared.schema_registry import SchemaRegistrySettings
from shared.settings import TopicName
from shared.sources import SourceSettings
from shared.topic_rules import Role, Severity, check_topic


class Verdict(StrEnum):
    """How well something is."""

    WELL = "well"
    DOUBTFUL = "doubtful"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Args:
        verdict: how well it is.
        what: what was found.
        hint: what to do about it; empty if all is well.
    """

    verdict: Verdict
    what: str
    hint: str = ""


class DoctorSettings(SourceSettings, SchemaRegistrySettings):
    """Where Kafka is and what the topics are called: the same variables as the tiers'."""

    user_info_changes_topic: TopicName = Field("user-info-changes", description="The joiner's internal topic.")
    dead_letters_topic: TopicName = Field("user-info-dead-letters", description="Where unreadable records go.")

    @property
    def roles(self) -> dict[str, Role]:
        """Topic -> what it is for, in the order of the data's path."""
        return dict.fromkeys(self.sources, Role.SOURCE) | {
            self.user_info_topic: Role.USER_INFO,
            self.user_info_changes_topic: Role.CHANGES,
            self.dead_letters_topic: Role.DEAD_LETTERS,
        }


RESTORED_BY = {Role.SOURCE: "a new snapshot", Role.USER_INFO: "a reset of the joiner"}
"""Role of a compacted topic -> what writes all of it again."""


LOSSES = frozenset({Severity.LOSES_ROWS_ON_REBUILD, Severity.LOSES_DATA, Severity.LOSES_TIME})
"""What may have happened already by the time that it is found."""

MAY_BE_MEANT = frozenset({Severity.CUTS_LETTERS, Severity.DEPENDS_ON_BROKER, Severity.STOPS_SOURCE})
"""What is no fault in every deployment."""


@dataclass(frozen=True)
class TopicFacts:
    """What Kafka says about a topic.

    Args:
        partitions: how many.
        replicas: of the partition that has the fewest.
        in_sync: replicas in sync, of the partition that has the fewest.
        config: name -> value.
    """

    partitions: int
    replicas: int
    in_sync: int
    config: Mapping[str, str]


def check_topics(settings: DoctorSettings, found: Mapping[str, TopicFacts]) -> Iterator[Finding]:
    """Yield the findings about each topic.

    Args:
        settings: the topics' names.
        found: the topics that exist.
    """
    variables = {topic: variable for variable, topic in settings.topic_names().items()}
    for name, role in settings.roles.items():
        facts = found.get(name)
        if facts is None:
            maker = "the connector creates it" if role is Role.SOURCE else "the joiner creates it at its first start"
            hint = f"{maker}; if it has another name, set {variables[name]}"
            yield Finding(Verdict.WRONG, f"topic {name} does not exist", hint)
            continue
        policy = facts.config.get("cleanup.policy", "?")
        well = f"topic {name}: {facts.partitions} partitions, {facts.replicas} replicas, {policy}"
        yield from list(_check_topic(name, role, facts)) or [Finding(Verdict.WELL, well)]


def _check_topic(name: str, role: Role, facts: TopicFacts) -> Iterator[Finding]:
    """Yield what is wrong or doubtful about one topic."""
    label = f"topic {name}"
    for violation in check_topic(role, label, facts.config, facts.replicas):
        verdict = Verdict.DOUBTFUL if violation.severity in MAY_BE_MEANT else Verdict.WRONG
        hint = violation.hint
        if violation.severity in LOSSES and role in RESTORED_BY:
            hint += f", then restore what has already been lost with {RESTORED_BY[role]}"
        yield Finding(verdict, violation.what, hint)
    if facts.in_sync < facts.replicas:
        what = f"{label}: a partition has {facts.in_sync} of {facts.replicas} replicas in sync"
        yield Finding(Verdict.DOUBTFUL, what, "see which broker is down or slow")
    elif facts.replicas == 1:
        what = f"{label} has one replica, lost with its broker"
        yield Finding(Verdict.DOUBTFUL, what, "reassign its partitions to three brokers, unless this is a trial")


def check_connector(url: str, status: Mapping[str, Any] | None) -> Finding:
    """Return the finding about a connector.

    Args:
        url: of the connector.
        status: what Kafka Connect says; None if it does not answer, or knows no such connector.
    """
    if status is None:
        hint = "start Kafka Connect, or see /connectors for the connector's name"
        return Finding(Verdict.WRONG, f"connector {url} gives no status", hint)
    tasks = status.get("tasks", [])
    if all_tasks_run(status):
        running = "1 task runs" if len(tasks) == 1 else f"{len(tasks)} tasks run"
        return Finding(Verdict.WELL, f"connector {url}: {running}")
    states = ", ".join(task["state"] for task in tasks if task["state"] != "RUNNING") or "without a task"
    reason = find_failure(status)
    what = f"connector {url} is {states}{f': {reason}' if reason else ''}"
    return Finding(Verdict.WRONG, what, explain_restart(url, reason))


def check_tier(tier: str, url: str, status: int | None, report: Mapping[str, Any]) -> Finding:
    """Return the finding about a joiner or a reader.

    Args:
        tier: `joiner` or `reader`.
        url: of its `/readyz`.
        status: of the response; None if there was none.
        report: the response's body.
    """
    if status is None:
        return Finding(Verdict.WRONG, f"{tier} {url} does not answer", f"start it with python -m {tier}; see its log")
    reason = report.get("reason")
    what = f"{tier} {url} is {report.get('state')}{f': {reason}' if reason else ''}"
    if status == 200 and not reason:
        return Finding(Verdict.WELL, what)
    waits = not reason or report.get("state") == "building"
    hint = "wait; if it stays so for long, see its log" if waits else "do what the reason says"
    return Finding(Verdict.DOUBTFUL if status == 200 else Verdict.WRONG, what, hint)
