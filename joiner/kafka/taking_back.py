"""What `user-info` holds from before a build: whether that is whole, and whose records the build has not written again.

A record that the build has not written again is requested through the internal topic: the owner of the user's part, in
order with all changes of that user, writes the record as it is, or a tombstone. A request that is repeated, or that is
about a user who exists, does no harm, so a crash at any point only repeats work.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from joiner.core.checkpoint import CHANGES_KEY
from joiner.core.users import make_request_entry
from joiner.kafka.producer import NewRecord, open_producer, write_all
from joiner.kafka.scan import scan
from shared.builds import BuildMark, parse_mark
from shared.clock import now_ms
from shared.parts import partitions_of
from shared.records import MAX_ID_BYTES, RESERVED_KEY_PREFIX
from shared.topics import partition_of

PACK_USERS = 1_000
"""Requests in one internal record: entries are small, so this stays well below the limit."""


class Served(NamedTuple):
    """What a topic holds when a build begins.

    Args:
        is_whole: True if readers may serve it: there is something, and no mark says that it is unfinished.
        has_users: True if records of users were found.
        marks: the marks of earlier builds: (partition of user-info, mark).
    """

    is_whole: bool
    has_users: bool
    marks: Collection[tuple[int, BuildMark]]


def read_served(client: Mapping[str, str], topic: str, partitions: int) -> Served:
    """Return what a topic holds.

    Args:
        client: where Kafka is and how to reach it, as librdkafka's properties.
        topic: user-info.
        partitions: how many it has.
    """
    marks: dict[tuple[int, bytes], BuildMark] = {}
    has_users = False
    for message in scan(client, topic, range(partitions)):
        partition, key, value = message.partition(), message.key() or b"", message.value()
        mark = parse_mark(key, value)
        if mark is not None:
            marks[partition, key] = mark
        elif value is None:
            marks.pop((partition, key), None)
        elif not key.startswith(RESERVED_KEY_PREFIX):
            has_users = True
    is_whole = all(mark.whole for mark in marks.values()) and (has_users or bool(marks))
    return Served(is_whole, has_users, [(partition, mark) for (partition, _), mark in marks.items()])


def request_unwritten(
    client: Mapping[str, str], topic: str, changes_topic: str, ends: Mapping[int, int], part: tuple[int, int]
) -> int:
    """Request the records of a part's users that a build has not written again; return how many.

    Args:
        client: where Kafka is and how to reach it, as librdkafka's properties.
        topic: user-info.
        changes_topic: the internal topic.
        ends: for each partition of user-info, its end when the build began.
        part: the partition of the internal topic, and how many it has.
    """
    number, parts = part
    requested = 0

    def request() -> Iterator[NewRecord]:
        nonlocal requested
        for partition in partitions_of(number, len(ends), parts):
            users = [
                key
                for key in _find_unwritten_users(client, topic, partition, ends[partition])
                if partition_of(key, parts) == number
            ]
            requested += len(users)
            yield from (NewRecord(CHANGES_KEY, pack, number) for pack in _pack_requests(users))

    write_all(open_producer(client), changes_topic, request())
    return requested


def _find_unwritten_users(client: Mapping[str, str], topic: str, partition: int, end: int) -> set[bytes]:
    users: set[bytes] = set()
    for message in scan(client, topic, [partition]):
        key = message.key() or b""
        if message.offset() >= end or message.value() is None:
            users.discard(key)
        elif not key.startswith(RESERVED_KEY_PREFIX) and 0 < len(key) <= MAX_ID_BYTES:
            users.add(key)
    return users


def _pack_requests(users: Iterable[bytes]) -> Iterator[bytes]:
    time_ms = now_ms()
    entries: list[object] = []
    for key in users:
        try:
            user_id = key.decode()
        except UnicodeDecodeError:
            continue
        entries.append(make_request_entry(user_id, time_ms))
        if len(entries) == PACK_USERS:
            yield json.dumps(entries).encode()
            entries = []
    if entries:
        yield json.dumps(entries).encode()
