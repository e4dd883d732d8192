"""What is wrong with a deployment, and how to mend it, out of facts that others have gathered. Pure.

Knows what the service needs of its topics and parts, and nothing of how they are asked.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import Field

from doctor.connect_status import failure, mending
from shared.settings import KafkaSettings, TopicName
from shared.topics import MAX_MESSAGE_BYTES


class Verdict(StrEnum):
    """How something is."""

    WELL = "well"
    DOUBTFUL = "doubtful"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        verdict: how it is.
        what: what was found.
        mend: what to do about it; empty where all is well.
    """

    verdict: Verdict
    what: str
    mend: str = ""


class DoctorSettings(KafkaSettings):
    """Where Kafka is and how the topics are called: the same variables as the tiers'."""

    users_topic: TopicName = Field("users", description="Changelog topic of the table users.")
    tweets_topic: TopicName = Field("tweets", description="Changelog topic of the table tweets.")
    follows_topic: TopicName = Field("follows", description="Changelog topic of the table follows.")
    likes_topic: TopicName = Field("likes", description="Changelog topic of the table likes.")
    user_info_changes_topic: TopicName = Field("user-info-changes", description="The joiner's internal topic.")
    dead_letters_topic: TopicName = Field("user-info-dead-letters", description="Where unreadable records go.")

    @property
    def sources(self) -> tuple[str, ...]:
        """The topics that a connector makes."""
        return self.users_topic, self.tweets_topic, self.follows_topic, self.likes_topic


@dataclass(frozen=True)
class TopicFacts:
    """What Kafka says of a topic.

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


def of_topics(settings: DoctorSettings, found: Mapping[str, TopicFacts]) -> Iterator[Finding]:
    """Yield what is to be said of each topic.

    Args:
        settings: the topics' names.
        found: the topics that exist.
    """
    variables = {topic: variable for variable, topic in settings.topic_names().items()}
    own = settings.user_info_topic, settings.user_info_changes_topic, settings.dead_letters_topic
    for name in (*settings.sources, *own):
        facts = found.get(name)
        if facts is None:
            maker = "the connector makes it" if name in settings.sources else "the joiner makes it at its first start"
            yield Finding(Verdict.WRONG, f"topic {name} does not exist", f"{maker}, or {variables[name]} is another")
            continue
        wrong = list(_of_topic(settings, name, facts))
        policy = facts.config.get("cleanup.policy", "?")
        yield from wrong or [
            Finding(Verdict.WELL, f"topic {name}: {facts.partitions} partitions, {facts.replicas} replicas, {policy}")
        ]


def _of_topic(settings: DoctorSettings, name: str, facts: TopicFacts) -> Iterator[Finding]:
    """Yield what is not well with one topic."""
    policy = facts.config.get("cleanup.policy", "")
    compacted = (*settings.sources, settings.user_info_topic)
    if name in compacted and policy != "compact":
        lost = "rows" if name in settings.sources else "users"
        yield Finding(
            Verdict.WRONG,
            f"topic {name} has cleanup.policy={policy}: {lost} that nobody touches are lost in time",
            "set cleanup.policy=compact, then have what was lost already written again by a new snapshot or a reset",
        )
    if name == settings.user_info_changes_topic and ("compact" in policy or facts.config.get("retention.ms") != "-1"):
        yield Finding(
            Verdict.WRONG,
            f"topic {name} may lose changes before they are read",
            "set cleanup.policy=delete, retention.ms=-1 and retention.bytes=-1",
        )
    if name not in settings.sources and int(facts.config.get("max.message.bytes", "0")) < MAX_MESSAGE_BYTES:
        said = f"topic {name} refuses records over {facts.config.get('max.message.bytes')} bytes"
        yield Finding(Verdict.WRONG, said, f"set max.message.bytes={MAX_MESSAGE_BYTES}")
    if facts.in_sync < facts.replicas:
        said = f"topic {name}: a partition has {facts.in_sync} of {facts.replicas} replicas in sync"
        yield Finding(Verdict.DOUBTFUL, said, "see which broker is down or slow")
    elif facts.replicas == 1:
        said = f"topic {name} has one replica, lost with its broker"
        yield Finding(Verdict.DOUBTFUL, said, "reassign its partitions to three brokers, unless this is for trying")


def of_connector(url: str, status: Mapping[str, Any] | None) -> Finding:
    """Return what is to be said of a connector.

    Args:
        url: that was asked.
        status: what Kafka Connect said; None where it did not answer, or knows no such connector.
    """
    if status is None:
        mend = "start Kafka Connect, or see /connectors for the connector's name"
        return Finding(Verdict.WRONG, f"connector {url} gives no status", mend)
    tasks = status.get("tasks", [])
    failed = [task for task in tasks if task["state"] != "RUNNING"]
    if tasks and not failed:
        return Finding(Verdict.WELL, f"connector {url}: {len(tasks)} task runs")
    states = ", ".join(task["state"] for task in failed) or "without a task"
    why = failure(status)
    said = f"connector {url} is {states}{f': {why}' if why else ''}"
    return Finding(Verdict.WRONG, said, mending(url))


def of_tier(tier: str, url: str, status: int | None, report: Mapping[str, Any]) -> Finding:
    """Return what is to be said of a joiner or a reader.

    Args:
        tier: which of them.
        url: of its `/readyz`.
        status: the answer's; None where there was none.
        report: the answer's body.
    """
    if status is None:
        return Finding(Verdict.WRONG, f"{tier} {url} does not answer", f"start it with python -m {tier}; see its log")
    reason = report.get("reason")
    said = f"{tier} {url} is {report.get('state')}{f': {reason}' if reason else ''}"
    if status == 200 and not reason:
        return Finding(Verdict.WELL, said)
    mend = "what the reason says" if reason else "wait, unless it has been so for long; then see its log"
    return Finding(Verdict.DOUBTFUL if status == 200 else Verdict.WRONG, said, mend)
