"""Responses about users, without a server."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reader.http.conditions import NO_CONDITIONS, Conditions, parse_conditions
from reader.http.updates import NOTHING_KNOWN, find_update
from reader.http.users import MAX_IDS, UserResponses
from reader.storage.read_view import StoredRecord
from replication.readiness import Readiness
from replication.records import UNKNOWN_TIME_MS
from shared.records import decode_user_id
from shared.topics import partition_of
from tests.support.read_views import DictReadView

READY = Readiness("ready", serves=True)
ALICE = StoredRecord(3, 1042, 1_700_000_000_123, b'{"userId":"alice"}')
ZOE = StoredRecord(0, 7, 1_700_000_000_456, '{"userId":"zoë"}'.encode())


@dataclass
class Turn:
    """One turn of an event loop, and the responses made in it."""

    records: Mapping[bytes, StoredRecord] = field(default_factory=lambda: {b"alice": ALICE, "zoë".encode(): ZOE})
    progress: Readiness = READY
    partitions: int | None = None
    views: list[DictReadView] = field(default_factory=list)
    at_its_end: list[Callable[[], None]] = field(default_factory=list)

    def responses(self) -> UserResponses:
        """Return what makes responses from this turn's records."""
        return UserResponses(self._view, lambda: self.progress, self.at_its_end.append)

    def _view(self) -> DictReadView:
        self.views.append(DictReadView(self.records, {0: 8, 3: 1043, 2: 0}, partitions=self.partitions))
        return self.views[-1]


def test_a_user_is_the_stored_bytes_with_their_offset_and_time() -> None:
    """The headers hold the record's partition, offset and source time, and a validator."""
    response = Turn().responses().get_user(b"alice")
    assert (200, ALICE.body) == (response.status, response.body)
    assert [
        (b"content-type", b"application/json"),
        (b"content-length", b"18"),
        (b"etag", b'"0badcafe-3-1042"'),
        (b"user-info-offset", b"3:1042"),
        (b"user-info-source-time-ms", b"1700000000123"),
        (b"user-info-topic", b"0badcafe"),
        (b"cache-control", b"no-cache"),
    ] == response.headers()


def test_a_time_that_is_not_the_sources_is_left_out() -> None:
    """Where the broker overwrote it, no header stands in its place; all others are what they were."""
    records = {b"alice": ALICE._replace(timestamp_ms=UNKNOWN_TIME_MS)}
    etag = Conditions(if_none_match=b'"0badcafe-3-1042"')
    for conditions in (NO_CONDITIONS, etag):
        known = Turn().responses().get_user(b"alice", conditions)
        unknown = Turn(records).responses().get_user(b"alice", conditions)
        assert (known.status, known.body) == (unknown.status, unknown.body)
        assert unknown.headers() == [each for each in known.headers() if each[0] != b"user-info-source-time-ms"]
        assert len(known.headers()) == len(unknown.headers()) + 1


@pytest.mark.parametrize("encoded", [b"bob", b"%FF", b"x" * 512, b"%78" * 512, b"", b"%00"])
def test_any_other_id_is_an_unknown_user(encoded: bytes) -> None:
    """Unknown, not UTF-8, too long or empty: 404, as a problem document of its own type."""
    response = Turn().responses().get_user(encoded)
    document = json.loads(response.body)
    assert (404, "urn:user-info:problem:unknown-user") == (response.status, document["type"])
    assert b"application/problem+json" == dict(response.headers())[b"content-type"]
    assert dict(response.headers())[b"content-length"] == b"%d" % len(response.body)


def name_in_partition(partition: int) -> bytes:
    """Return an id whose records would be in a partition, out of four."""
    return next(name for name in (b"user%d" % number for number in count()) if partition_of(name, 4) == partition)


@pytest.mark.parametrize(
    ("partitions", "encoded", "stated"),
    [
        (4, name_in_partition(3), b"3:1042"),
        (4, name_in_partition(3).replace(b"u", b"%75"), b"3:1042"),
        (4, name_in_partition(0), b"0:7"),
        (4, name_in_partition(1), None),
        (4, name_in_partition(2), None),
        (None, name_in_partition(3), None),
        (4, b"%FF", None),
        (4, b"x" * 512, None),
        (4, b"", None),
    ],
)
def test_an_absence_says_up_to_where_it_is_true(partitions: int | None, encoded: bytes, stated: bytes | None) -> None:
    """The last offset applied of the user's partition; nothing where none was applied, or no record can have the id."""
    response = Turn(partitions=partitions).responses().get_user(encoded)
    assert (404, stated) == (response.status, dict(response.headers()).get(b"user-info-offset"))


@pytest.mark.parametrize("offset", [b"3:1042", b"0:7"])
def test_what_an_absence_says_may_be_sent_back(offset: bytes) -> None:
    """This reader meets it, one that has not read so far is behind."""
    partition, _, number = offset.partition(b":")
    conditions = Conditions(if_min_offset=offset)
    assert 404 == Turn(partitions=4).responses().get_user(name_in_partition(int(partition)), conditions).status
    behind = DictReadView({}, {int(partition): int(number)}, partitions=4)
    response = UserResponses(lambda: behind, lambda: READY, lambda _: None).get_user(b"bob", conditions)
    assert (503, "behind") == (response.status, json.loads(response.body)["type"].rpartition(":")[2])


def test_every_position_may_be_sent_back_with_its_topic() -> None:
    """Of a record, an absence, several users and an event: this reader meets it, one of another topic does not."""
    turn = Turn(partitions=4)
    recreated = DictReadView(turn.records, {0: 9999, 3: 9999}, b"12345678")
    elsewhere = UserResponses(lambda: recreated, lambda: READY, lambda _: None)
    for response in (
        turn.responses().get_user(b"alice"),
        turn.responses().get_user(b"alice", Conditions(if_none_match=b"*")),
        turn.responses().get_user(name_in_partition(3)),
        turn.responses().get_users(b"id=alice&id=zo%C3%AB&id=" + name_in_partition(0)),
    ):
        headers = dict(response.headers())
        pairs = headers[b"user-info-offset"].split(b", ")
        sent_back = b", ".join(b"%b:%b" % (pair, headers[b"user-info-topic"]) for pair in pairs)
        assert 200 == turn.responses().get_user(b"alice", Conditions(if_min_offset=sent_back)).status
        refused = elsewhere.get_user(b"alice", Conditions(if_min_offset=sent_back))
        assert (503, "other-topic") == (refused.status, json.loads(refused.body)["type"].rpartition(":")[2])
    event = find_update(DictReadView(turn.records), b"alice", NOTHING_KNOWN)
    assert event is not None
    sent_back = event.encode().partition(b"id: ")[2].partition(b"\n")[0]
    assert b"3:1042:0badcafe" == sent_back
    assert 200 == turn.responses().get_user(b"alice", Conditions(if_min_offset=sent_back)).status


def test_several_users_of_whom_nothing_is_known_state_no_offset() -> None:
    """Where no id can be one, or nothing was applied: no header, rather than an empty one that cannot be sent back."""
    for query in (b"id=", b"id=" + name_in_partition(1)):
        response = Turn(partitions=4).responses().get_users(query)
        assert (200, False) == (response.status, b"user-info-offset" in dict(response.headers()))


@pytest.mark.parametrize(
    ("missing", "stated"),
    [
        ([], b"0:7, 3:1000"),
        ([3], b"0:7, 3:1042"),
        ([0, 3], b"0:7, 3:1042"),
        ([1, 2], b"0:7, 3:1000"),
        ([3, 3, 1], b"0:7, 3:1042"),
    ],
)
def test_missing_users_count_like_their_partitions(missing: list[int], stated: bytes) -> None:
    """Where one is missing, all that was applied of its partition counts; what was found there is not later."""
    records = {b"alice": ALICE._replace(offset=1000), "zoë".encode(): ZOE}
    ids = [b"id=" + name for name in (b"zo%C3%AB", *map(name_in_partition, missing), b"alice")]
    for order in (ids, ids[::-1]):
        query = b"&".join([*order, b"id=", b"id=" + b"x" * 512])
        response = Turn(records=records, partitions=4).responses().get_users(query)
        assert stated == dict(response.headers())[b"user-info-offset"]


@settings(deadline=None)
@given(st.text(min_size=1, max_size=511).filter(lambda text: len(text.encode()) <= 511))
def test_every_id_is_found_under_its_percent_encoding(user_id: str) -> None:
    """Any UTF-8 text may be an id, slashes and line ends included, however much of it is encoded."""
    everything = "".join(f"%{byte:02x}" for byte in user_id.encode())
    for encoded in (quote(user_id, safe=""), everything):
        assert decode_user_id(encoded.encode()) == user_id.encode()


@pytest.mark.parametrize(
    ("if_none_match", "status"),
    [
        (b'"0badcafe-3-1042"', 304),
        (b'W/"0badcafe-3-1042"', 304),
        (b'"other", "0badcafe-3-1042"', 304),
        (b"*", 304),
        (b'"0badcafe-3-1041"', 200),
        (b"0badcafe-3-1042", 200),
        (b"", 200),
    ],
)
def test_a_client_that_has_the_record_gets_a_304(if_none_match: bytes, status: int) -> None:
    """It has no body, and repeats the ETag that the client named."""
    response = Turn().responses().get_user(b"alice", Conditions(if_none_match=if_none_match))
    assert status == response.status
    assert b'"0badcafe-3-1042"' == dict(response.headers())[b"etag"]
    if status == 304:
        assert (b"", False) == (response.body, b"content-length" in dict(response.headers()))


def test_an_unknown_user_is_404_for_any_conditions() -> None:
    """If-None-Match: * matches existing records only."""
    assert 404 == Turn().responses().get_user(b"bob", Conditions(if_none_match=b"*")).status


@pytest.mark.parametrize(
    ("if_min_offset", "status"),
    [
        (b"3:1042", 200),
        (b"3:1043", 503),
        (b"0:7, 3:1042", 200),
        (b"3:1042,0:8", 503),
        (b"9:0", 503),
        (b"3:1042:0badcafe", 200),
        (b"3:1043:0badcafe", 503),
        (b"3:0:12345678", 503),
        (b"0:7:0badcafe,\t3:1042", 200),
        (b"0:7:0badcafe, 3:0:12345678", 503),
        (b"3:1042:", 400),
        (b"3:1042:0BADCAFE", 400),
        (b"3:1042:0badcafe:1", 400),
        (b"3:1042,", 400),
        (b"3", 400),
        (b"3:", 400),
        (b":3", 400),
        (b"3:-1", 400),
        (b"3:1e3", 400),
        (b"3:1042;", 400),
        (b"", 400),
        (b"3:" + b"9" * 20, 400),
    ],
)
def test_a_client_never_goes_back_in_time(if_min_offset: bytes, status: int) -> None:
    """If-Min-Offset is met, refused at once with a Retry-After, or malformed."""
    for response in (
        Turn().responses().get_user(b"alice", Conditions(if_min_offset=if_min_offset)),
        Turn().responses().get_users(b"id=alice", Conditions(if_min_offset=if_min_offset)),
    ):
        assert status == response.status
        assert (status == 503) == (b"retry-after" in dict(response.headers()))


@pytest.mark.parametrize(
    ("limit", "fresh", "status"),
    [
        (b"60", True, 200),
        (b"60.5", True, 200),
        (b"60", False, 503),
        (b"60", None, 503),
        (b"999999999", False, 503),
        (b"soon", True, 400),
        (b"-1", True, 400),
        (b"1e9", True, 400),
        (b"nan", True, 400),
        (b"", True, 400),
        (b"5, 6", True, 400),
    ],
)
def test_a_client_gets_no_data_staler_than_it_allows(limit: bytes, fresh: bool | None, status: int) -> None:
    """Max-Staleness-Seconds is met, refused with a Retry-After, or malformed; without heartbeats it is never met."""
    fresh_ms = None if fresh is None else time.time_ns() // 1_000_000 if fresh else 0
    turn = Turn(progress=Readiness("ready", serves=True, fresh_ms=fresh_ms))
    for response in (
        turn.responses().get_user(b"alice", Conditions(max_staleness=limit)),
        turn.responses().get_users(b"id=alice", Conditions(max_staleness=limit)),
    ):
        assert status == response.status
        assert (status == 503) == (b"retry-after" in dict(response.headers()))


def test_a_repeated_field_is_one_list() -> None:
    """Header fields of one name are joined, as HTTP defines it; other fields are no conditions."""
    headers = [(b"host", b"here"), (b"if-min-offset", b"0:7"), (b"if-min-offset", b"3:1042")]
    assert Conditions(None, b"0:7, 3:1042") == parse_conditions(headers)
    assert Conditions(None, None, b"5") == parse_conditions([(b"max-staleness-seconds", b"5")])
    assert NO_CONDITIONS == parse_conditions([(b"accept", b"*/*")])


def test_before_the_reader_is_ready_no_user_is_unknown() -> None:
    """A reader that has not caught up responds 503 with how far it is, for known and unknown users alike."""
    progress = Readiness("replaying", applied=50, target=200, seconds_left=1.5, reason="reading")
    responses = Turn(progress=progress).responses()
    for response in (responses.get_user(b"alice"), responses.get_user(b"bob"), responses.get_users(b"id=alice")):
        said = json.loads(response.body)
        assert (503, b"1") == (response.status, dict(response.headers())[b"retry-after"])
        assert ("replaying", 25.0, 1.5) == (said["state"], said["percent"], said["secondsLeft"])


def test_several_users_are_read_at_once() -> None:
    """Records in the order asked for, the ids of the others, and for each partition the newest offset."""
    query = b"id=zo%C3%AB&id=bo+b&id=alice&other=1&id=&id=alice&id=" + b"x" * 512
    response = Turn().responses().get_users(query)
    document = json.loads(response.body)
    assert ["zoë", "alice", "alice"] == [user["userId"] for user in document["users"]]
    assert ["bo b", "", "x" * 512] == document["missing"]
    assert ["users", "missing"] == list(document)
    assert b"0:7, 3:1042" == dict(response.headers())[b"user-info-offset"]
    assert dict(response.headers())[b"content-length"] == b"%d" % len(response.body)


@pytest.mark.parametrize("query", [b"", b"name=alice", b"&".join([b"id=1"] * (MAX_IDS + 1)), b"id=%FF"])
def test_a_query_for_no_user_or_too_many_is_refused(query: bytes) -> None:
    """No id, more than a hundred, or invalid UTF-8: 400 with the reason."""
    response = Turn().responses().get_users(query)
    assert (400, "urn:user-info:problem:bad-request") == (response.status, json.loads(response.body)["type"])


def test_a_hundred_users_are_not_too_many() -> None:
    """The limit itself is allowed."""
    assert 200 == Turn().responses().get_users(b"&".join([b"id=alice"] * MAX_IDS)).status


def test_records_too_large_to_be_sent_together_are_refused() -> None:
    """A response built in memory has a size limit."""
    responses = Turn(records={b"big": StoredRecord(0, 0, 0, b" " * (1 << 20))}).responses()
    assert 200 == responses.get_users(b"&".join([b"id=big"] * 16)).status
    assert 400 == responses.get_users(b"&".join([b"id=big"] * 17)).status


def test_all_responses_of_one_turn_use_one_view() -> None:
    """It is closed at the end of the event loop's turn, exactly once."""
    turn = Turn()
    responses = turn.responses()
    responses.get_user(b"alice")
    responses.get_users(b"id=alice&id=bob")
    assert (1, False) == (len(turn.views), turn.views[0].closed)
    for function in turn.at_its_end:
        function()
    assert turn.views[0].closed
    responses.get_user(b"alice")
    assert 2 == len(turn.views)


def test_nothing_is_said_of_data_that_came_after_the_view() -> None:
    """The replicator may apply and publish at any moment, so freshness is read first, and covered by the view."""
    turn, fresh_ms = Turn(), [0]

    def open_view_and_apply() -> DictReadView:
        fresh_ms[0] = time.time_ns() // 1_000_000
        return DictReadView(turn.records)

    def read_readiness() -> Readiness:
        return Readiness("ready", serves=True, fresh_ms=fresh_ms[0])

    responses = UserResponses(open_view_and_apply, read_readiness, turn.at_its_end.append)
    assert 503 == responses.get_user(b"alice", Conditions(max_staleness=b"60")).status


def test_every_response_from_the_store_says_how_far_behind_the_reader_is() -> None:
    """Found, unchanged and unknown: a header says how long ago the store was last known to be complete."""
    responses = Turn(progress=Readiness("stale", serves=True, complete_at=0.0)).responses()
    for response in (
        responses.get_user(b"alice"),
        responses.get_user(b"bob"),
        responses.get_user(b"alice", Conditions(if_none_match=b"*")),
        responses.get_users(b"id=alice"),
    ):
        assert float(dict(response.headers())[b"user-info-behind-seconds"]) > 0
