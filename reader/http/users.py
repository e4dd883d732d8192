"""What the reader answers to a question about users: status, header lines, body. Knows no server and no framework.

Both the ordinary route and the short cut under it (see reader.http.fast_path) answer with what is decided here, so that
they cannot differ. A record is sent as it lies in the store: no JSON is parsed, and none is built but the list of ids
that are missing. All that is answered within one turn of the event loop comes out of one snapshot of the store.
"""

import json
import re
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from reader.http import problems
from reader.http.response import Response
from reader.status.readiness import Readiness
from reader.storage.read_view import ReadView
from shared.records import MAX_ID_BYTES

MAX_IDS = 100
MAX_RESPONSE_BYTES = 16 * 1024 * 1024
"""What one answer about several users may weigh; it is built in memory."""

SECONDS = re.compile(rb"[0-9]{1,9}(\.[0-9]{1,6})?")
REVALIDATE = b"cache-control: no-cache\r\n"
USER_HEAD = (
    b'content-type: application/json\r\ncontent-length: %d\r\netag: "%b-%d-%d"\r\n'
    b"user-info-offset: %d:%d\r\nuser-info-source-time-ms: %d\r\n"
)
NOT_MODIFIED_HEAD = b'etag: "%b-%d-%d"\r\nuser-info-offset: %d:%d\r\nuser-info-source-time-ms: %d\r\n'
USERS_HEAD = b"content-type: application/json\r\ncontent-length: %d\r\nuser-info-offset: %b\r\n"

CONDITION_FIELDS = {b"if-none-match": 0, b"if-min-offset": 1, b"max-staleness-seconds": 2}
"""Header fields that an answer depends on, and their places in `Conditions`."""


class Conditions(NamedTuple):
    """What a request asks for beyond the user: values of its header fields, None where absent."""

    if_none_match: bytes | None = None
    if_min_offset: bytes | None = None
    max_staleness: bytes | None = None


NO_CONDITIONS = Conditions()


def parse_conditions(headers: Iterable[tuple[bytes, bytes]]) -> Conditions:
    """Return the conditions among header fields; a field that is there twice is one list.

    Args:
        headers: name in lower case, value.
    """
    values: list[bytes | None] = [None] * len(CONDITION_FIELDS)
    for name, value in headers:
        place = CONDITION_FIELDS.get(name)
        if place is not None:
            earlier = values[place]
            values[place] = value if earlier is None else earlier + b", " + value
    return Conditions(*values)


class _TurnContext:
    """One look at the store, and what is true of all answers that are given out of it."""

    def __init__(self, view: ReadView, progress: Readiness) -> None:
        self.view = view
        self.progress = progress
        self.tag = view.tag
        complete_at = progress.complete_at
        behind = None if complete_at is None else max(0.0, time.monotonic() - complete_at)
        self.common = REVALIDATE if behind is None else REVALIDATE + b"user-info-behind-seconds: %.3f\r\n" % behind
        self.unknown = Response(404, problems.UNKNOWN_USER.head + self.common, problems.UNKNOWN_USER.body)
        self.refusal = None if progress.serves else not_ready(progress)


class UserResponses:
    """Answers to questions about users.

    Args:
        view: looks at the store as it is now.
        progress: how far the reader is.
        soon: calls a function when the event loop's present turn is over.
    """

    def __init__(
        self,
        view: Callable[[], ReadView],
        progress: Callable[[], Readiness],
        soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self._view = view
        self._progress = progress
        self._soon = soon
        self._moment: _TurnContext | None = None

    def release(self) -> None:
        """Let go of the store; the next answer looks at it anew."""
        if self._moment is not None:
            self._moment.view.close()
            self._moment = None

    def get_user(self, encoded: bytes, conditions: Conditions = NO_CONDITIONS) -> Response:
        """Answer `GET /users/{userId}`.

        Args:
            encoded: the path's segment, percent-encoded.
            conditions: what else the request says.
        """
        now = self._moment or self._look()
        if now.refusal is not None:
            return now.refusal
        refusal = None if conditions is NO_CONDITIONS else _check_conditions(conditions, now)
        if refusal is not None:
            return refusal
        user_id = decode_user_id(encoded)
        found = None if user_id is None else now.view.find(user_id)
        if found is None:
            return now.unknown
        partition, offset, timestamp_ms, body = found
        if conditions.if_none_match is not None:
            etag = b'"%b-%d-%d"' % (now.tag, partition, offset)
            if _matches_etag(conditions.if_none_match, etag):
                place = (now.tag, partition, offset, partition, offset, timestamp_ms)
                return Response(304, NOT_MODIFIED_HEAD % place + now.common, b"")
        place = (len(body), now.tag, partition, offset, partition, offset, timestamp_ms)  # type: ignore[assignment]
        return Response(200, USER_HEAD % place + now.common, body)

    def get_users(self, query: bytes, conditions: Conditions = NO_CONDITIONS) -> Response:
        """Answer `GET /users?id=…&id=…`: the records that there are, in the order asked for, and the ids of the others.

        Args:
            query: the request's query, percent-encoded.
            conditions: what else the request says; If-None-Match is not looked at.
        """
        now = self._moment or self._look()
        if now.refusal is not None:
            return now.refusal
        refusal = None if conditions is NO_CONDITIONS else _check_conditions(conditions, now)
        if refusal is not None:
            return refusal
        asked = _parse_ids(query)
        if isinstance(asked, Response):
            return asked
        bodies: list[bytes] = []
        missing: list[str] = []
        offsets: dict[int, int] = {}
        weight = 0
        for user_id in asked:
            found = now.view.find(user_id.encode()) if 0 < len(user_id.encode()) <= MAX_ID_BYTES else None
            if found is None:
                missing.append(user_id)
                continue
            weight += len(found.body)
            if weight > MAX_RESPONSE_BYTES:
                return problems.bad_request("these users' records are too large to be sent together; ask for fewer")
            bodies.append(found.body)
            offsets[found.partition] = max(found.offset, offsets.get(found.partition, 0))
        absent = json.dumps(missing, ensure_ascii=False).encode()
        body = b'{"users":[' + b",".join(bodies) + b'],"missing":' + absent + b"}"
        places = b", ".join(b"%d:%d" % place for place in sorted(offsets.items()))
        return Response(200, USERS_HEAD % (len(body), places) + now.common, body)

    def _look(self) -> _TurnContext:
        self._moment = _TurnContext(self._view(), self._progress())
        self._soon(self.release)
        return self._moment


def decode_user_id(encoded: bytes) -> bytes | None:
    """Return the id that a path segment names, in UTF-8; None where no record can have it.

    Args:
        encoded: the segment, percent-encoded.
    """
    user_id = unquote_to_bytes(encoded) if b"%" in encoded else encoded
    if not 0 < len(user_id) <= MAX_ID_BYTES:
        return None
    if not user_id.isascii():
        try:
            user_id.decode()
        except UnicodeDecodeError:
            return None
    return user_id


def _parse_ids(query: bytes) -> list[str] | Response:
    """Return the ids that a query asks for, or the answer to a query that does not ask."""
    values = [value for name, _, value in (pair.partition(b"=") for pair in query.split(b"&")) if name == b"id"]
    if not values:
        return problems.bad_request("ask for users by id, such as /users?id=1&id=2")
    if len(values) > MAX_IDS:
        return problems.bad_request(f"{len(values)} ids are too many; ask for {MAX_IDS} at most")
    try:
        return [unquote_to_bytes(value.replace(b"+", b" ")).decode() for value in values]
    except UnicodeDecodeError:
        return problems.bad_request("an id is no UTF-8 text")


def _matches_etag(if_none_match: bytes, etag: bytes) -> bool:
    """Compare as RFC 9110, section 13.1.2, has it: weakly, any of a list, or anything."""
    if if_none_match == etag:
        return True
    tags = [tag.strip(b" \t").removeprefix(b"W/") for tag in if_none_match.split(b",")]
    return etag in tags or tags == [b"*"]


def _check_min_offset(if_min_offset: bytes, view: ReadView) -> Response | None:
    """Return the answer to a client that has seen more than there is here; None where there is as much."""
    for place in if_min_offset.split(b","):
        partition, colon, offset = place.strip(b" \t").partition(b":")
        if not (colon and _is_number(partition) and _is_number(offset)):
            return problems.bad_request("If-Min-Offset is <partition>:<offset>, such as 3:1042, or a list of such")
        position = view.position(int(partition))
        if position is None or position <= int(offset):
            here = "nothing" if position is None else f"what is before {position}"
            return problems.problem(
                503,
                "behind",
                "not there yet",
                f"this reader holds {here} of partition {int(partition)}; try again or ask another",
                problems.RETRY_AFTER,
            )
    return None


def _check_conditions(conditions: Conditions, now: _TurnContext) -> Response | None:
    """Return the answer to a client that asks for more than there is here; None where there is as much."""
    if conditions.if_min_offset is not None:
        refusal = _check_min_offset(conditions.if_min_offset, now.view)
        if refusal is not None:
            return refusal
    if conditions.max_staleness is not None:
        return _check_staleness(conditions.max_staleness, now.progress)
    return None


def _check_staleness(limit: bytes, progress: Readiness) -> Response | None:
    """Return the answer to a client to whom what is here is too old; None where it is not."""
    if SECONDS.fullmatch(limit) is None:
        return problems.bad_request("Max-Staleness-Seconds is a number of seconds, such as 5 or 0.5")
    staleness = progress.staleness_seconds(time.time_ns() // 1_000_000)
    if staleness is not None and staleness <= float(limit):
        return None
    here = "no heartbeat says how old what is here may be" if staleness is None else f"it may be {staleness:.3f} s old"
    return problems.problem(
        503, "too-stale", "too stale", f"{here}; try again or ask another reader", problems.RETRY_AFTER
    )


def _is_number(text: bytes) -> bool:
    return text.isdigit() and len(text) <= 19


def not_ready(progress: Readiness) -> Response:
    """Return what whoever asks is answered before the reader is ready."""
    return problems.problem(
        503,
        "not-ready",
        "not ready",
        progress.reason or "the reader is not ready yet",
        problems.RETRY_AFTER,
        state=progress.state,
        percent=progress.percent,
        secondsLeft=progress.seconds_left,
    )
