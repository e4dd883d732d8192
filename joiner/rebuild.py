"""Begins a build: joining the sources from scratch; and deletes the joined state, so that the next start begins one.

While the sources are joined, the records of user-info stay as they are, and marks there tell readers whether they may
serve them. How a build goes on is decided in joiner.core.build.
"""

import shutil
import time
from collections.abc import Callable, Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from joiner.context import Context
from joiner.core.build import Build
from joiner.core.compatibility import ClusterFacts, LedgerNotes, find_repartitioned
from joiner.kafka.config import REQUEST_SECONDS, membership_seconds
from joiner.kafka.ledger import BUILD, FORMS_ARE_WHOLE, INPUTS, REBUILD, RESETTING, Ledger, caught_up_key, key_form_key
from joiner.kafka.offsets import read_extents, read_state_inputs
from joiner.kafka.producer import NewRecord, open_producer, write_all
from joiner.kafka.taking_back import Served, read_served
from joiner.kafka.topics import PreparedTopics
from joiner.settings import JoinerSettings
from shared.builds import BuildMark
from shared.errors import KafkaError, StateError, TopicError
from shared.parts import partitions_of

DELETION_SECONDS = 60.0
"""How long Kafka may still list topics that it has deleted."""

NOT_BEGUN = ""
"""The build of marks that are written before it is known which build it will be."""


def mark_empty(context: Context, prepared: PreparedTopics) -> None:
    """Mark a user-info that holds nothing as unfinished: readers take one that stays so for one without users.

    To be called as soon as the topic exists, since what a start does until the build begins takes seconds. A group that
    has a state marks nothing: its build, if there was one, will not be said to be over again.

    Args:
        context: what the process keeps.
        prepared: the joiner's topics.
    """
    if Ledger(context.client, prepared.ledger).read().inputs is not None:
        return
    topic, partitions = context.settings.user_info_topic, prepared.user_info_partitions
    extents = read_extents(context.admin, [(topic, partition) for partition in range(partitions)])
    if not any(extent.high for extent in extents.values()):
        marks = _make_marks(NOT_BEGUN, prepared.changes_partitions, partitions, whole=False)
        write_all(open_producer(context.client), topic, marks)


def _make_marks(build: str, parts: int, partitions: int, *, whole: bool) -> list[NewRecord]:
    """Return the marks of every part of a build that begins, in every partition of user-info that the part feeds."""
    marks = [BuildMark(part, parts, build, whole, 0) for part in range(parts)]
    return [
        NewRecord(mark.key, mark.value, partition)
        for mark in marks
        for partition in partitions_of(mark.part, partitions, mark.parts)
    ]


def begin_build(
    ledger: Ledger, client: Mapping[str, str], settings: JoinerSettings, facts: ClusterFacts, user_info: list[int]
) -> None:
    """Note what a state is built from, and mark user-info, before the first record is read.

    Args:
        ledger: the group's.
        client: where Kafka is and how to reach it, as librdkafka's properties.
        settings: names of topics.
        facts: the topics as they are; no source partition has been read.
        user_info: the ends of the partitions of user-info; records before them may be of users that are gone.
    """
    topic, parts = settings.user_info_topic, facts.inputs.topics[settings.user_info_changes_topic]
    served = read_served(client, topic, len(user_info)) if any(user_info) else Served(False, False, ())
    build = Build(parts.id, served.is_whole, dict(enumerate(user_info)) if served.has_users else {})
    if ledger.read().inputs is not None:
        return  # another joiner has begun it meanwhile, and may have marked more than this
    started = {caught_up_key(partition_id): str(facts.now_ms).encode() for partition_id in facts.sources}
    begun = _make_marks(build.id, parts.partitions, len(user_info), whole=build.whole)
    # Nobody would ever write again what they say, where the internal topic has come to have other partitions.
    others = [NewRecord(mark.key, None, at) for at, mark in served.marks if mark.parts != parts.partitions]
    # In this order: a start that is interrupted before the last note begins again.
    write_all(open_producer(client), topic, [*begun, *others])
    ledger.write({**started, REBUILD: None, BUILD: build.encode(), FORMS_ARE_WHOLE: b"true"})
    ledger.note_inputs(facts.inputs.encode())


def adopt_rebuild(ledger: Ledger, noted: LedgerNotes, facts: ClusterFacts, settings: JoinerSettings) -> None:
    """Make a build of a rebuild that an earlier version has begun: its state stays, and each user is written again."""
    build = Build(facts.inputs.topics[settings.user_info_changes_topic].id, True, noted.rebuild or {})
    ledger.write({BUILD: build.encode()})
    ledger.write({REBUILD: None})


def reset_state(
    admin: AdminClient, ledger: Ledger, settings: JoinerSettings, show: Callable[[float, str], None]
) -> None:
    """Delete the joined state, its changelogs, the internal topic and the group; the next start joins from scratch.

    Args:
        admin: a client of the cluster.
        ledger: the group's.
        settings: names of group and topics.
        show: called with percent, and with what is done next.

    Raises:
        StateError: a joiner of the group is still running, or topics that stay could not be joined exactly.
        KafkaError: Kafka does not answer, or refuses.
    """
    show(0, "waiting for the group to be empty")
    _require_no_members(admin, settings.joiner_group, membership_seconds(settings))
    _refuse_repartitioned(admin, ledger, settings)
    ledger.write({RESETTING: b"true"})
    _delete_group(admin, settings.joiner_group)
    topics = admin.list_topics(timeout=REQUEST_SECONDS).topics
    changelogs = [name for name in topics if name.startswith(settings.changelog_prefix)]
    show(50, "deleting topics")
    _delete_topics(admin, [*changelogs, *({settings.user_info_changes_topic} & topics.keys())])
    show(80, "deleting local state")
    shutil.rmtree(settings.local_state, ignore_errors=True)
    forms = [key_form_key(topic, form) for topic, forms in ledger.read().key_forms.items() for form in forms]
    ledger.write({INPUTS: None, REBUILD: None, BUILD: None, **dict.fromkeys(forms)})
    ledger.write({RESETTING: None})


def _refuse_repartitioned(admin: AdminClient, ledger: Ledger, settings: JoinerSettings) -> None:
    """Refuse if a source or user-info was given partitions: joined from scratch, the result would still be wrong."""
    noted = ledger.read().inputs
    existing = admin.list_topics(timeout=REQUEST_SECONDS).topics.keys()
    kept = {*settings.sources, settings.user_info_topic} & existing
    if noted is None or not kept:
        return
    wrong = list(find_repartitioned(noted.topics, read_state_inputs(admin, kept, settings).topics))
    if wrong:
        raise StateError(
            "; ".join(wrong),
            hint="delete the topic; if it is a source, have its connector write it again (a joiner creates user-info by"
            " itself); then run this again; readers keep answering meanwhile",
        )


def _require_no_members(admin: AdminClient, group: str, membership_seconds: float) -> None:
    """Wait until sessions of killed joiners expire; refuse if members remain."""
    deadline = time.monotonic() + membership_seconds
    while members := _members(admin, group):
        if time.monotonic() > deadline:
            named = ", ".join(sorted(members))
            raise StateError(
                f"the group {group} still has members: {named}", hint="stop every joiner of the group first"
            )
        time.sleep(0.5)


def _members(admin: AdminClient, group: str) -> set[str]:
    described = admin.describe_consumer_groups([group], request_timeout=REQUEST_SECONDS)[group]
    try:
        return {member.group_instance_id or member.client_id for member in described.result(REQUEST_SECONDS).members}
    except KafkaException as error:
        if error.args[0].name() == "GROUP_ID_NOT_FOUND":
            return set()
        raise KafkaError(
            f"cannot describe the group {group}: {error.args[0].str()}",
            hint="check the rights on it, and run this again",
        ) from error


def _delete_group(admin: AdminClient, group: str) -> None:
    try:
        admin.delete_consumer_groups([group], request_timeout=REQUEST_SECONDS)[group].result(REQUEST_SECONDS)
    except KafkaException as error:
        if error.args[0].name() not in ("GROUP_ID_NOT_FOUND", "COORDINATOR_NOT_AVAILABLE"):
            raise KafkaError(
                f"cannot delete the group {group}: {error.args[0].str()}",
                hint="check the rights on it, and run this again",
            ) from error


def _delete_topics(admin: AdminClient, names: list[str]) -> None:
    if not names:
        return
    for name, deleted in admin.delete_topics(names, request_timeout=REQUEST_SECONDS).items():
        try:
            deleted.result(REQUEST_SECONDS)
        except KafkaException as error:
            if error.args[0].name() != "UNKNOWN_TOPIC_OR_PART":
                raise TopicError(
                    f"cannot delete the topic {name}: {error.args[0].str()}",
                    hint="check the rights on it, and run this again",
                ) from error
    deadline = time.monotonic() + DELETION_SECONDS
    while set(names) & admin.list_topics(timeout=REQUEST_SECONDS).topics.keys():
        if time.monotonic() > deadline:
            raise TopicError(
                f"the topics {', '.join(names)} were deleted, but Kafka still lists them", hint="run this again"
            )
        time.sleep(0.2)
