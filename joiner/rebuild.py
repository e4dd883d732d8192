"""Forgetting the joined state, joining anew, and taking back the records of users that are no more.

While sources are joined anew the old records of user-info stay, so readers never answer a false 404. Every user that
is still there is written again on the way. What was not written again once all sources have been read to the ends they
had, is asked for through the internal topic: its owner, in order with all changes of that user, writes the record as it
is, or its absence. Asking twice, or for a user who is still there, does no harm, so a crash at any point only repeats.
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
from joiner.core.users import make_show_entry
from joiner.kafka.config import REQUEST_SECONDS, membership_seconds
from joiner.kafka.ledger import INPUTS, REBUILD, RESETTING, Ledger, caught_up_key
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
GONE_SECONDS = 60.0


def begin_rebuild(
    ledger: Ledger, inputs: StateInputs, user_info_ends: Mapping[int, int], sources: Iterable[PartitionId], now_ms: int
) -> None:
    """Note what a state is built from, before its first record is read.

    Args:
        ledger: the group's.
        inputs: the topics as they are.
        user_info_ends: for each partition of user-info, its end; records before it may be of users that are no more.
        sources: the source partitions, none of which has been read.
        now_ms: the time, from which an absence is measured.
    """
    rebuild = json.dumps(user_info_ends).encode() if any(user_info_ends.values()) else None
    started = {caught_up_key(partition_id): str(now_ms).encode() for partition_id in sources}
    # In this order: a start that is broken off before the last note begins again.
    ledger.write({**started, REBUILD: rebuild})
    ledger.write({INPUTS: inputs.encode()})


def finish_rebuild(ledger: Ledger, client: Mapping[str, str], settings: JoinerSettings, inputs: StateInputs) -> bool:
    """Ask for the records that a rebuild has not written again, once all sources have been joined.

    Args:
        ledger: the group's.
        client: where Kafka is and how to reach it, as librdkafka's properties.
        settings: names of topics.
        inputs: the topics as they are.

    Returns:
        True where no rebuild is under way any more.
    """
    noted, read = ledger.rebuilding_since()
    if noted.rebuild is None:
        return True
    sources = {(topic, p) for topic in settings.sources for p in range(inputs.topics[topic].partitions)}
    if not sources <= read:
        return False
    asked = 0
    for partition, end in noted.rebuild.items():
        users = _find_unwritten_users(client, settings.user_info_topic, partition, end)
        _request_records(
            users, client, settings.user_info_changes_topic, inputs.topics[settings.user_info_changes_topic].partitions
        )
        asked += len(users)
    ledger.write({REBUILD: None})
    logger.info("the rebuild is complete; asked for %d records that it had not written", asked)
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
        entries.append(make_show_entry(user_id, time_ms))
        if len(entries) == PACK_USERS:
            yield partition_of(key, partitions), json.dumps(waiting.pop(partition_of(key, partitions))).encode()
    for partition, entries in waiting.items():
        yield partition, json.dumps(entries).encode()


def reset_state(admin: AdminClient, ledger: Ledger, settings: JoinerSettings) -> None:
    """Delete the joined state, its changelogs, the internal topic and the group; the next start joins anew.

    Args:
        admin: a client of the cluster.
        ledger: the group's.
        settings: names of group and topics.

    Raises:
        StateError: a joiner of the group is still running, or what stays could not be joined exactly.
        KafkaError: Kafka does not answer, or refuses.
    """
    _refuse_members(admin, settings.joiner_group, membership_seconds(settings))
    _refuse_repartitioned(admin, ledger, settings)
    ledger.write({RESETTING: b"true"})
    _delete_group(admin, settings.joiner_group)
    topics = admin.list_topics(timeout=REQUEST_SECONDS).topics
    doomed = [name for name in topics if name.startswith(settings.changelog_prefix)]
    _delete_topics(admin, [*doomed, *({settings.user_info_changes_topic} & topics.keys())])
    shutil.rmtree(settings.local_state, ignore_errors=True)
    ledger.write({INPUTS: None, REBUILD: None})
    ledger.write({RESETTING: None})


def _refuse_repartitioned(admin: AdminClient, ledger: Ledger, settings: JoinerSettings) -> None:
    """Refuse where a source or user-info was given more partitions: joined anew, it would be wrong all the same."""
    noted = ledger.read().inputs
    there = admin.list_topics(timeout=REQUEST_SECONDS).topics.keys()
    kept = {*settings.sources, settings.user_info_topic} & there
    if noted is None or not kept:
        return
    wrong = list(find_repartitioned(noted.topics, read_state_inputs(admin, kept).topics))
    if wrong:
        raise StateError(
            f"{'; '.join(wrong)}: delete the topic, have a source written anew by its connector (a joiner makes"
            " user-info anew by itself), and run this again; readers go on answering meanwhile"
        )


def _refuse_members(admin: AdminClient, group: str, membership_seconds: float) -> None:
    """Wait for the sessions of joiners that were just killed, and refuse where somebody is still there after that."""
    deadline = time.monotonic() + membership_seconds
    while members := _members(admin, group):
        if time.monotonic() > deadline:
            named = ", ".join(sorted(members))
            raise StateError(f"the group {group} still has members: {named}; stop every joiner of the group first")
        time.sleep(0.5)


def _members(admin: AdminClient, group: str) -> set[str]:
    described = admin.describe_consumer_groups([group], request_timeout=REQUEST_SECONDS)[group]
    try:
        return {member.group_instance_id or member.client_id for member in described.result(REQUEST_SECONDS).members}
    except KafkaException as error:
        if error.args[0].name() == "GROUP_ID_NOT_FOUND":
            return set()
        raise KafkaError(f"cannot describe the group {group}: {error.args[0].str()}") from error


def _delete_group(admin: AdminClient, group: str) -> None:
    try:
        admin.delete_consumer_groups([group], request_timeout=REQUEST_SECONDS)[group].result(REQUEST_SECONDS)
    except KafkaException as error:
        if error.args[0].name() not in ("GROUP_ID_NOT_FOUND", "COORDINATOR_NOT_AVAILABLE"):
            raise KafkaError(f"cannot delete the group {group}: {error.args[0].str()}") from error


def _delete_topics(admin: AdminClient, names: list[str]) -> None:
    if not names:
        return
    for name, deleted in admin.delete_topics(names, request_timeout=REQUEST_SECONDS).items():
        try:
            deleted.result(REQUEST_SECONDS)
        except KafkaException as error:
            if error.args[0].name() != "UNKNOWN_TOPIC_OR_PART":
                raise TopicError(f"cannot delete the topic {name}: {error.args[0].str()}") from error
    deadline = time.monotonic() + GONE_SECONDS
    while set(names) & admin.list_topics(timeout=REQUEST_SECONDS).topics.keys():
        if time.monotonic() > deadline:
            raise TopicError(f"the topics {', '.join(names)} were deleted, but Kafka still lists them; run it again")
        time.sleep(0.2)
