"""Deletes the joined state, joins from scratch, and removes the records of users that no longer exist.

While the sources are joined from scratch, the old records of user-info stay, so readers never answer a false 404. Every
user that still exists is written again on the way. Once all sources have been read to the ends they had, the records
that were not written again are requested through the internal topic: the owner of the user's partition, in order with
all changes of that user, writes the record as it is, or a tombstone. A request that is repeated, or that is about a
user who exists, does no harm, so a crash at any point only repeats work.
"""

import json
import logging
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from joiner.core.checkpoint import CHANGES_KEY
from joiner.core.compatibility import PartitionId, StateInputs, find_repartitioned
from joiner.core.users import make_request_entry
from joiner.kafka.config import REQUEST_SECONDS, membership_seconds
from joiner.kafka.ledger import FORMS_ARE_WHOLE, INPUTS, REBUILD, RESETTING, Ledger, caught_up_key, key_form_key
from joiner.kafka.offsets import read_state_inputs
from joiner.kafka.producer import NewRecord, open_producer, write_all
from joiner.kafka.scan import scan
from joiner.settings import JoinerSettings
from shared.clock import now_ms
from shared.errors import KafkaError, StateError, TopicError
from shared.records import MAX_ID_BYTES, RESERVED_KEY_PREFIX
from shared.topics import partition_of

logger = logging.getLogger(__name__)

PACK_USERS = 1_000
"""Requests in one internal record: entries are small, so this stays well below the limit."""

DELETION_SECONDS = 60.0
"""How long Kafka may still list topics that it has deleted."""


def begin_rebuild(
    ledger: Ledger,
    inputs: StateInputs,
    user_info_ends: Mapping[int, int],
    sources: Iterable[PartitionId],
    started_ms: int,
) -> None:
    """Note what a state is built from, before its first record is read.

    Args:
        ledger: the group's.
        inputs: the topics as they are.
        user_info_ends: for each partition of user-info, its end; records before it may be of users that are gone.
        sources: the source partitions, none of which has been read.
        started_ms: the time, epoch ms, from which the group's next absence is measured.
    """
    rebuild = json.dumps(user_info_ends).encode() if any(user_info_ends.values()) else None
    started = {caught_up_key(partition_id): str(started_ms).encode() for partition_id in sources}
    # In this order: a start that is interrupted before the last note begins again.
    ledger.write({**started, REBUILD: rebuild, FORMS_ARE_WHOLE: b"true"})
    ledger.note_inputs(inputs.encode())


def finish_rebuild(ledger: Ledger, client: Mapping[str, str], settings: JoinerSettings, inputs: StateInputs) -> bool:
    """Request the records that a rebuild has not written again, once all sources have been joined.

    Args:
        ledger: the group's.
        client: where Kafka is and how to reach it, as librdkafka's properties.
        settings: names of topics.
        inputs: the topics as they are.

    Returns:
        True if no rebuild is under way any more.
    """
    noted, read = ledger.read_rebuild()
    if noted.rebuild is None:
        return True
    sources = {(topic, p) for topic in settings.sources for p in range(inputs.topics[topic].partitions)}
    if not sources <= read:
        return False
    requested = 0
    for partition, end in noted.rebuild.items():
        users = _find_unwritten_users(client, settings.user_info_topic, partition, end)
        _request_records(
            users, client, settings.user_info_changes_topic, inputs.topics[settings.user_info_changes_topic].partitions
        )
        requested += len(users)
    ledger.write({REBUILD: None})
    logger.info("the rebuild is complete; requested %d records that it had not written", requested)
    return True


def _find_unwritten_users(client: Mapping[str, str], topic: str, partition: int, end: int) -> set[bytes]:
    users: set[bytes] = set()
    for message in scan(client, topic, [partition]):
        key = message.key() or b""
        if message.offset() >= end or message.value() is None:
            users.discard(key)
        elif not key.startswith(RESERVED_KEY_PREFIX) and 0 < len(key) <= MAX_ID_BYTES:
            users.add(key)
    return users


def _request_records(users: Iterable[bytes], client: Mapping[str, str], topic: str, partitions: int) -> None:
    packs = _pack_requests(users, partitions)
    write_all(open_producer(client), topic, (NewRecord(CHANGES_KEY, pack, partition) for partition, pack in packs))


def _pack_requests(users: Iterable[bytes], partitions: int) -> Iterator[tuple[int, bytes]]:
    time_ms = now_ms()
    waiting: defaultdict[int, list[object]] = defaultdict(list)
    for key in users:
        try:
            user_id = key.decode()
        except UnicodeDecodeError:
            continue
        entries = waiting[partition_of(key, partitions)]
        entries.append(make_request_entry(user_id, time_ms))
        if len(entries) == PACK_USERS:
            yield partition_of(key, partitions), json.dumps(waiting.pop(partition_of(key, partitions))).encode()
    for partition, entries in waiting.items():
        yield partition, json.dumps(entries).encode()


def reset_state(admin: AdminClient, ledger: Ledger, settings: JoinerSettings) -> None:
    """Delete the joined state, its changelogs, the internal topic and the group; the next start joins from scratch.

    Args:
        admin: a client of the cluster.
        ledger: the group's.
        settings: names of group and topics.

    Raises:
        StateError: a joiner of the group is still running, or topics that stay could not be joined exactly.
        KafkaError: Kafka does not answer, or refuses.
    """
    _require_no_members(admin, settings.joiner_group, membership_seconds(settings))
    _refuse_repartitioned(admin, ledger, settings)
    ledger.write({RESETTING: b"true"})
    _delete_group(admin, settings.joiner_group)
    topics = admin.list_topics(timeout=REQUEST_SECONDS).topics
    changelogs = [name for name in topics if name.startswith(settings.changelog_prefix)]
    _delete_topics(admin, [*changelogs, *({settings.user_info_changes_topic} & topics.keys())])
    shutil.rmtree(settings.local_state, ignore_errors=True)
    forms = [key_form_key(topic, form) for topic, forms in ledger.read().key_forms.items() for form in forms]
    ledger.write({INPUTS: None, REBUILD: None, **dict.fromkeys(forms)})
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
