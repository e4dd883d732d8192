"""Responses about users, in the reader's words and bytes: status, header fields, body. Knows no server."""

import json
from urllib.parse import quote

from joiner.core.plan import Plan
from joiner.core.users import decode_state, render_record
from joiner.metrics import Metrics
from joiner.queries.claims import Claim
from joiner.queries.held_parts import HeldParts, Refusal
from shared import problems
from shared.health import GetField, Reply
from shared.records import decode_user_id
from shared.topics import partition_of

USERS_PATH = "/users"
PARTITIONS_PATH = "/partitions"

REDIRECTED = "redirected"
"""In the query of a request that a joiner has sent here: it is not sent on, so that no two can send it to and fro."""

SEGMENT = "%!$&'()*+,;=:@-._~"
"""What a path's segment may hold besides letters and digits."""

CONDITIONS = ("If-Min-Offset", "Max-Staleness-Seconds")
"""What a reader promises and a joiner cannot: it knows neither the offsets of `user-info` nor how old its state is."""

NOWHERE = Refusal("rebalancing", "no joiner has said yet that it answers for this user")
NOT_HERE = Refusal("rebalancing", "this joiner does not answer for this user any more")

UNKNOWN = problems.encode_unknown_user("user")


class UserQueries:
    """Decides each response. Used by the threads of requests.

    Args:
        plan: the view's.
        own: what this joiner claims.
        metrics: where responses are counted.
    """

    def __init__(self, plan: Plan, own: Claim, metrics: Metrics) -> None:
        self.own = own
        self.held = HeldParts()
        self.claims: dict[int, Claim] = {}
        """Part -> who answers for it; ClaimRelay's."""
        self.parts = 0
        """How many there are; 0 until that is known. Written once, before the loop begins."""
        self._plan = plan
        self._responses = metrics.user_responses

    def respond(self, target: str, get_field: GetField) -> Reply | None:
        """Return the response to a GET request; None for a path that is not about users.

        Args:
            target: the path as it was sent, and the query if there is one.
            get_field: returns the request's header fields.
        """
        path, _, query = target.partition("?")
        if path == PARTITIONS_PATH:
            return _reply(200, json.dumps(self._describe_partitions()).encode(), "application/json")
        if path != USERS_PATH and not path.startswith(f"{USERS_PATH}/"):
            return None
        reply = self._answer(path, query, get_field)
        self._responses.labels(reply.status).inc()
        return reply

    def _answer(self, path: str, query: str, get_field: GetField) -> Reply:
        segment = path.removeprefix(USERS_PATH).removeprefix("/")
        if not segment or "/" in segment:
            return _reply(404, problems.encode_unknown_route(path, USERS_PATH))
        if any(get_field(name) is not None for name in CONDITIONS):
            return _reply(
                400, problems.encode_bad_request(f"a joiner knows nothing of {' or '.join(CONDITIONS)}; ask a reader")
            )
        return self._get_user(segment, is_redirected=REDIRECTED in query.split("&"))

    def _get_user(self, segment: str, *, is_redirected: bool) -> Reply:
        user_id = decode_user_id(segment.encode("latin-1"))
        if user_id is None:
            return _reply(404, UNKNOWN)
        if not self.parts:
            return _refuse(self.held.refusal or NOWHERE)
        part = partition_of(user_id, self.parts)
        found = self.held.find(part, user_id)
        if isinstance(found, Refusal):
            return _refuse(found)
        if found is None:
            return _refuse(NOT_HERE) if is_redirected else self._redirect(part, segment)
        body = render_record(self._plan, user_id.decode(), decode_state(found.value))
        return _reply(404, UNKNOWN) if body is None else _reply(200, body, "application/json")

    def _redirect(self, part: int, segment: str) -> Reply:
        claim = self.claims.get(part)
        if claim is None or claim.url == self.own.url:
            return _refuse(NOWHERE)
        place = f"{claim.url}{USERS_PATH}/{quote(segment.encode('latin-1'), SEGMENT)}?{REDIRECTED}"
        return Reply(307, [("Location", place), ("Cache-Control", "no-store")], b"")

    def _describe_partitions(self) -> dict[str, object]:
        served, refusal = self.held.list_served(), self.held.refusal
        claims = {part: self.claims.get(part) for part in range(self.parts)} | dict.fromkeys(served, self.own)
        return {
            "instance": self.own.instance,
            "url": self.own.url,
            "state": "running" if refusal is None else refusal.state,
            "partitions": [
                {
                    "partition": part,
                    "instance": claim and claim.instance,
                    "url": claim and claim.url,
                    "servedHere": part in served,
                }
                for part, claim in claims.items()
            ],
        }


def _refuse(refusal: Refusal) -> Reply:
    reply = _reply(503, problems.encode_not_ready(refusal.reason, refusal.state, None, None))
    return reply._replace(fields=[*reply.fields, ("Retry-After", "1")])


def _reply(status: int, body: bytes, content_type: str = problems.CONTENT_TYPE) -> Reply:
    return Reply(status, [("Content-Type", content_type), ("Cache-Control", "no-cache")], body)
