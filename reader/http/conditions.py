"""Conditional requests: the header fields that a response about users depends on, and whether they are met.

If-None-Match is HTTP's own (RFC 9110, section 13). If-Min-Offset and Max-Staleness-Seconds are this service's: a client
names how much of the topic it has already seen, or how old the data may be, and gets a 503 rather than older data.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from reader.http import problems
from reader.http.response import Response
from reader.storage.read_view import ReadView
from replication.readiness import Readiness
from shared.clock import now_ms

POSITION = re.compile(rb"[ \t]*([0-9]{1,19}):([0-9]{1,19})(?::([0-9a-f]{8}))?[ \t]*")
SECONDS = re.compile(rb"[0-9]{1,9}(\.[0-9]{1,6})?")

CONDITION_FIELDS = {b"if-none-match": 0, b"if-min-offset": 1, b"max-staleness-seconds": 2}
"""Header field -> its index in `Conditions`."""


class Conditions(NamedTuple):
    """The conditions of one request: values of its header fields, None where absent."""

    if_none_match: bytes | None = None
    if_min_offset: bytes | None = None
    max_staleness: bytes | None = None


NO_CONDITIONS = Conditions()


class Served(Protocol):
    """The data that conditions are checked against."""

    view: ReadView
    readiness: Readiness


def parse_conditions(headers: Iterable[tuple[bytes, bytes]]) -> Conditions:
    """Return the conditions among header fields; a repeated field is joined into one list.

    Args:
        headers: name in lower case, value.
    """
    values: list[bytes | None] = [None] * len(CONDITION_FIELDS)
    for name, value in headers:
        index = CONDITION_FIELDS.get(name)
        if index is not None:
            earlier = values[index]
            values[index] = value if earlier is None else earlier + b", " + value
    return Conditions(*values)


def check_conditions(conditions: Conditions, served: Served) -> Response | None:
    """Return a 503 if the data is older than the request allows, a 400 if that cannot be understood, else None.

    If-None-Match is not checked here: it depends on the record.
    """
    if conditions.if_min_offset is not None:
        refusal = _check_min_offset(conditions.if_min_offset, served.view)
        if refusal is not None:
            return refusal
    if conditions.max_staleness is not None:
        return _check_staleness(conditions.max_staleness, served.readiness)
    return None


def matches_etag(if_none_match: bytes, etag: bytes) -> bool:
    """Return whether If-None-Match names this ETag, by RFC 9110, section 13.1.2: compared weakly, in a list, or `*`."""
    if if_none_match == etag:
        return True
    tags = [tag.strip(b" \t").removeprefix(b"W/") for tag in if_none_match.split(b",")]
    return etag in tags or tags == [b"*"]


def _check_min_offset(if_min_offset: bytes, view: ReadView) -> Response | None:
    """Return a 503 if the client has seen more than this reader holds, or another topic, else None.

    Offsets of partitions that another shard holds say nothing of the users of this one.
    """
    for element in if_min_offset.split(b","):
        found = POSITION.fullmatch(element)
        if found is None:
            return problems.bad_request(
                "If-Min-Offset must be <partition>:<offset> or <partition>:<offset>:<topic>, such as 3:1042, or a list"
            )
        partition, offset, tag = found.groups()
        if tag not in {None, view.tag}:
            return problems.OTHER_TOPIC
        if view.share is not None and view.share.is_elsewhere(int(partition)):
            continue
        position = view.position(int(partition))
        if position is None or position <= int(offset):
            held = "nothing" if position is None else f"the offsets below {position}"
            return problems.problem(
                503,
                "behind",
                "not there yet",
                f"this reader holds {held} of partition {int(partition)}; try again, or ask another reader",
                problems.RETRY_AFTER,
            )
    return None


def _check_staleness(limit: bytes, readiness: Readiness) -> Response | None:
    """Return a 503 if the data is staler than the client allows, else None."""
    if SECONDS.fullmatch(limit) is None:
        return problems.bad_request("Max-Staleness-Seconds must be a number of seconds, such as 5 or 0.5")
    staleness = readiness.staleness_seconds(now_ms())
    if staleness is not None and staleness <= float(limit):
        return None
    age = (
        "without a heartbeat, or with one from the future, the age of the data is unknown"
        if staleness is None
        else f"it may be {staleness:.3f} s old"
    )
    return problems.problem(
        503, "too-stale", "too stale", f"{age}; try again, or ask another reader", problems.RETRY_AFTER
    )
