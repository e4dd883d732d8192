"""Responses to requests for users: status, header lines, body. Knows no server and no framework.

The ordinary route and the fast path (see reader.http.fast_path) both send what is decided here, so they cannot differ.
A record is sent exactly as it is stored: no JSON is parsed, and none is built except the list of missing ids. All
responses of one turn of the event loop come from one read view of the store.
"""

import json
import time
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from reader.http import problems
from reader.http.absence import find_absence
from reader.http.conditions import NO_CONDITIONS, Conditions, check_conditions, matches_etag
from reader.http.misdirection import find_misdirection
from reader.http.resource import USERS, Resource
from reader.http.response import Response
from reader.storage.read_view import ReadView
from replication.readiness import Readiness
from replication.records import UNKNOWN_TIME_MS
from shared.records import MAX_ID_BYTES, decode_user_id

MAX_IDS = 100
MAX_RESPONSE_BYTES = 16 * 1024 * 1024
"""Size limit of one response about several users; it is built in memory."""

REVALIDATE = b"cache-control: no-cache\r\n"
BEHIND_HEAD = b"user-info-behind-seconds: %.3f\r\n"
USER_HEAD = (
    b'content-type: application/json\r\ncontent-length: %d\r\netag: "%b-%d-%d"\r\n'
    b"user-info-offset: %d:%d\r\nuser-info-source-time-ms: %d\r\n"
)
NOT_MODIFIED_HEAD = b'etag: "%b-%d-%d"\r\nuser-info-offset: %d:%d\r\nuser-info-source-time-ms: %d\r\n'
UNKNOWN_TIME_LINE = b"user-info-source-time-ms: %d\r\n" % UNKNOWN_TIME_MS
OFFSET_HEAD = b"user-info-offset: %d:%d\r\n"
OFFSETS_HEAD = b"user-info-offset: %b\r\n"
TOPIC_HEAD = b"user-info-topic: %b\r\n"
USERS_HEAD = b"content-type: application/json\r\ncontent-length: %d\r\n"


class _TurnContext:
    """One read view of the store, and what all responses made from it have in common."""

    def __init__(self, view: ReadView, readiness: Readiness, unknown: Response) -> None:
        self.view = view
        self._unknown = unknown
        self.readiness = readiness
        self.tag = view.tag
        complete_at = readiness.complete_at
        behind = None if complete_at is None else max(0.0, time.monotonic() - complete_at)
        stated = b"" if behind is None else BEHIND_HEAD % behind
        self.common = TOPIC_HEAD % view.tag + REVALIDATE + stated
        self.refusal = None if readiness.serves else problems.not_ready(readiness)
        self.share = view.share

    def make_unknown(self, user_id: bytes | None) -> Response:
        """Return the 404 of a user, with the offset up to which it is true; of None, which is no id, it always is."""
        absence = None if user_id is None else find_absence(self.view, user_id)
        stated = b"" if absence is None else OFFSET_HEAD % absence
        return Response(404, self._unknown.head + stated + self.common, self._unknown.body)


class UserResponses:
    """Makes the responses about users; to be used in the event loop only.

    Args:
        open_view: returns a read view of the store as it is now.
        readiness: how far the reader is.
        call_soon: calls a function at the end of the event loop's current turn.
        resource: what the users are served as.
    """

    def __init__(
        self,
        open_view: Callable[[], ReadView],
        readiness: Callable[[], Readiness],
        call_soon: Callable[[Callable[[], None]], object],
        resource: Resource = USERS,
    ) -> None:
        self.resource = resource
        self._list_head = b'{"%b":[' % resource.name.encode()
        self._open_view = open_view
        self._readiness = readiness
        self._call_soon = call_soon
        self._context: _TurnContext | None = None

    def release(self) -> None:
        """Close the read view; the next response opens another."""
        if self._context is not None:
            self._context.view.close()
            self._context = None

    def read_shape(self) -> bytes | None:
        """Return the shape of the records, as the topic says it; None where it says none."""
        return (self._context or self._open_context()).view.shape

    def get_user(self, encoded: bytes, conditions: Conditions = NO_CONDITIONS) -> Response:
        """Return the response to `GET /users/{userId}`.

        Args:
            encoded: the path's segment, percent-encoded.
            conditions: of the request.
        """
        context = self._context or self._open_context()
        if context.refusal is not None:
            return context.refusal
        user_id = decode_user_id(encoded)
        if context.share is not None and user_id is not None:
            refusal = find_misdirection(context.share, [user_id], self.resource)
            if refusal is not None:
                return refusal
        refusal = None if conditions is NO_CONDITIONS else check_conditions(conditions, context)
        if refusal is not None:
            return refusal
        found = None if user_id is None else context.view.find(user_id)
        if found is None:
            return context.make_unknown(user_id)
        partition, offset, timestamp_ms, body = found
        if conditions.if_none_match is not None:
            etag = b'"%b-%d-%d"' % (context.tag, partition, offset)
            if matches_etag(conditions.if_none_match, etag):
                values = (context.tag, partition, offset, partition, offset, timestamp_ms)
                return Response(304, _leave_out_unknown(NOT_MODIFIED_HEAD % values, timestamp_ms) + context.common, b"")
        values = (len(body), context.tag, partition, offset, partition, offset, timestamp_ms)  # type: ignore[assignment]
        return Response(200, _leave_out_unknown(USER_HEAD % values, timestamp_ms) + context.common, body)

    def get_users(self, query: bytes, conditions: Conditions = NO_CONDITIONS) -> Response:
        """Return the response to `GET /users?id=…&id=…`: the records found, in the order asked for, and the other ids.

        Args:
            query: the request's query, percent-encoded.
            conditions: of the request; If-None-Match is ignored.
        """
        context = self._context or self._open_context()
        if context.refusal is not None:
            return context.refusal
        user_ids = _parse_ids(query, self.resource)
        if context.share is not None and not isinstance(user_ids, Response):
            refusal = find_misdirection(context.share, map(str.encode, user_ids), self.resource)
            if refusal is not None:
                return refusal
        refusal = None if conditions is NO_CONDITIONS else check_conditions(conditions, context)
        if refusal is not None:
            return refusal
        if isinstance(user_ids, Response):
            return user_ids
        bodies: list[bytes] = []
        missing: list[str] = []
        offsets: dict[int, int] = {}
        size_bytes = 0
        for user_id in user_ids:
            key = user_id.encode()
            is_id = 0 < len(key) <= MAX_ID_BYTES
            found = context.view.find(key) if is_id else None
            if found is None:
                missing.append(user_id)
                absence = find_absence(context.view, key) if is_id else None
                if absence is not None:
                    offsets[absence.partition] = absence.offset  # what was found there is not later
                continue
            size_bytes += len(found.body)
            if size_bytes > MAX_RESPONSE_BYTES:
                return problems.bad_request("these records are too large to send together; ask for fewer")
            bodies.append(found.body)
            offsets[found.partition] = max(found.offset, offsets.get(found.partition, 0))
        missing_ids = json.dumps(missing, ensure_ascii=False).encode()
        body = self._list_head + b",".join(bodies) + b'],"missing":' + missing_ids + b"}"
        newest = b", ".join(b"%d:%d" % pair for pair in sorted(offsets.items()))
        stated = OFFSETS_HEAD % newest if newest else b""
        return Response(200, USERS_HEAD % len(body) + stated + context.common, body)

    def _open_context(self) -> _TurnContext:
        readiness = self._readiness()  # first: what it says of the data must not be newer than the data
        self._context = _TurnContext(self._open_view(), readiness, self.resource.unknown)
        self._call_soon(self.release)
        return self._context


def _leave_out_unknown(head: bytes, timestamp_ms: int) -> bytes:
    """Return a head that says nothing of the source's time where that is not known."""
    return head if timestamp_ms >= 0 else head.replace(UNKNOWN_TIME_LINE, b"")


def _parse_ids(query: bytes, resource: Resource) -> list[str] | Response:
    """Return the ids that a query asks for, or a 400 if it asks for none or too many."""
    values = [value for name, _, value in (pair.partition(b"=") for pair in query.split(b"&")) if name == b"id"]
    if not values:
        return problems.bad_request(f"ask for {resource.name} by id, such as {resource.path}?id=1&id=2")
    if len(values) > MAX_IDS:
        return problems.bad_request(f"{len(values)} ids are too many; ask for {MAX_IDS} at most")
    try:
        return [unquote_to_bytes(value.replace(b"+", b" ")).decode() for value in values]
    except UnicodeDecodeError:
        return problems.bad_request("an id is not valid UTF-8")
