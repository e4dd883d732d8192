"""What is answered about users, without a server: the pure part of the reader's HTTP."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reader.http.conditions import NO_CONDITIONS, Conditions, parse_conditions
from reader.http.users import MAX_IDS, UserResponses, decode_user_id
from reader.status.readiness import Readiness
from reader.storage.read_view import StoredRecord
from tests.support.read_views import DictReadView

READY = Readiness("ready", serves=True)
ALICE = StoredRecord(3, 1042, 1_700_000_000_123, b'{"userId":"alice"}')
ZOE = StoredRecord(0, 7, 1_700_000_000_456, '{"userId":"zoë"}'.encode())


@dataclass
class Turn:
    """One turn of an event loop, and the answers given in it."""

    records: Mapping[bytes, StoredRecord] = field(default_factory=lambda: {b"alice": ALICE, "zoë".encode(): ZOE})
    progress: Readiness = READY
    views: list[DictReadView] = field(default_factory=list)
    at_its_end: list[Callable[[], None]] = field(default_factory=list)

    def answers(self) -> UserResponses:
        """Return answers out of this turn's records."""
        return UserResponses(self._view, lambda: self.progress, self.at_its_end.append)

    def _view(self) -> DictReadView:
        self.views.append(DictReadView(self.records, {0: 8, 3: 1043}))
        return self.views[-1]


def test_a_user_is_answered_with_the_stored_bytes_and_where_they_stand() -> None:
    """Partition, offset and source time of the record, and a validator, stand in the headers."""
    answer = Turn().answers().get_user(b"alice")
    assert (answer.status, answer.body) == (200, ALICE.body)
    assert answer.headers() == [
        (b"content-type", b"application/json"),
        (b"content-length", b"18"),
        (b"etag", b'"0badcafe-3-1042"'),
        (b"user-info-offset", b"3:1042"),
        (b"user-info-source-time-ms", b"1700000000123"),
        (b"cache-control", b"no-cache"),
    ]


@pytest.mark.parametrize("encoded", [b"bob", b"%FF", b"x" * 512, b"%78" * 512, b"", b"%00"])
def test_any_other_id_is_an_unknown_user(encoded: bytes) -> None:
    """Unknown, not UTF-8, too long or empty: 404, as a problem document of its own type."""
    answer = Turn().answers().get_user(encoded)
    document = json.loads(answer.body)
    assert (404, "urn:user-info:problem:unknown-user") == (answer.status, document["type"])
    assert dict(answer.headers())[b"content-type"] == b"application/problem+json"
    assert dict(answer.headers())[b"content-length"] == b"%d" % len(answer.body)


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
def test_a_client_that_has_the_record_is_told_so(if_none_match: bytes, status: int) -> None:
    """304 without a body where one of the client's tags is the record's, with the same tag again."""
    answer = Turn().answers().get_user(b"alice", Conditions(if_none_match=if_none_match))
    assert status == answer.status
    assert dict(answer.headers())[b"etag"] == b'"0badcafe-3-1042"'
    if status == 304:
        assert (b"", False) == (answer.body, b"content-length" in dict(answer.headers()))


def test_an_unknown_user_is_404_whatever_the_client_has() -> None:
    """If-None-Match: * asks about a record that there is."""
    assert Turn().answers().get_user(b"bob", Conditions(if_none_match=b"*")).status == 404


@pytest.mark.parametrize(
    ("if_min_offset", "status"),
    [
        (b"3:1042", 200),
        (b"3:1043", 503),
        (b"0:7, 3:1042", 200),
        (b"3:1042,0:8", 503),
        (b"9:0", 503),
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
    """If-Min-Offset is met, refused at once with when to try again, or not understood."""
    for answer in (
        Turn().answers().get_user(b"alice", Conditions(if_min_offset=if_min_offset)),
        Turn().answers().get_users(b"id=alice", Conditions(if_min_offset=if_min_offset)),
    ):
        assert status == answer.status
        assert (status == 503) == (b"retry-after" in dict(answer.headers()))


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
def test_a_client_gets_nothing_that_is_too_old_for_it(limit: bytes, fresh: bool | None, status: int) -> None:
    """Max-Staleness-Seconds is met, refused with when to try again, or not understood; without heartbeats never met."""
    fresh_ms = None if fresh is None else time.time_ns() // 1_000_000 if fresh else 0
    turn = Turn(progress=Readiness("ready", serves=True, fresh_ms=fresh_ms))
    for answer in (
        turn.answers().get_user(b"alice", Conditions(max_staleness=limit)),
        turn.answers().get_users(b"id=alice", Conditions(max_staleness=limit)),
    ):
        assert status == answer.status
        assert (status == 503) == (b"retry-after" in dict(answer.headers()))


def test_a_field_that_is_there_twice_is_one_list() -> None:
    """Header fields of one name are joined, as HTTP has it; others are no conditions."""
    headers = [(b"host", b"here"), (b"if-min-offset", b"0:7"), (b"if-min-offset", b"3:1042")]
    assert parse_conditions(headers) == Conditions(None, b"0:7, 3:1042")
    assert parse_conditions([(b"max-staleness-seconds", b"5")]) == Conditions(None, None, b"5")
    assert parse_conditions([(b"accept", b"*/*")]) == NO_CONDITIONS


def test_before_it_is_ready_nobody_is_unknown() -> None:
    """A reader that has not caught up answers 503 with how far it is, for known and unknown users alike."""
    progress = Readiness("replaying", applied=50, target=200, seconds_left=1.5, reason="reading")
    answers = Turn(progress=progress).answers()
    for answer in (answers.get_user(b"alice"), answers.get_user(b"bob"), answers.get_users(b"id=alice")):
        said = json.loads(answer.body)
        assert (503, b"1") == (answer.status, dict(answer.headers())[b"retry-after"])
        assert ("replaying", 25.0, 1.5) == (said["state"], said["percent"], said["secondsLeft"])


def test_several_users_are_answered_at_once() -> None:
    """Records in the order asked for, the ids of the others, and for each partition the newest offset."""
    query = b"id=zo%C3%AB&id=bo+b&id=alice&other=1&id=&id=alice&id=" + b"x" * 512
    answer = Turn().answers().get_users(query)
    document = json.loads(answer.body)
    assert ["zoë", "alice", "alice"] == [user["userId"] for user in document["users"]]
    assert ["bo b", "", "x" * 512] == document["missing"]
    assert list(document) == ["users", "missing"]
    assert dict(answer.headers())[b"user-info-offset"] == b"0:7, 3:1042"
    assert dict(answer.headers())[b"content-length"] == b"%d" % len(answer.body)


@pytest.mark.parametrize("query", [b"", b"name=alice", b"&".join([b"id=1"] * (MAX_IDS + 1)), b"id=%FF"])
def test_a_query_that_asks_for_nobody_or_too_many_is_refused(query: bytes) -> None:
    """No id, more than a hundred, or no UTF-8 text: 400, and why."""
    answer = Turn().answers().get_users(query)
    assert (400, "urn:user-info:problem:bad-request") == (answer.status, json.loads(answer.body)["type"])


def test_a_hundred_users_are_not_too_many() -> None:
    """The limit itself is allowed."""
    assert Turn().answers().get_users(b"&".join([b"id=alice"] * MAX_IDS)).status == 200


def test_records_too_large_to_be_sent_together_are_refused() -> None:
    """What is built in memory for one request has a limit."""
    answers = Turn(records={b"big": StoredRecord(0, 0, 0, b" " * (1 << 20))}).answers()
    assert answers.get_users(b"&".join([b"id=big"] * 16)).status == 200
    assert answers.get_users(b"&".join([b"id=big"] * 17)).status == 400


def test_all_answers_of_one_turn_are_of_one_moment() -> None:
    """One view serves a turn of the event loop, and is let go of at its end, exactly once."""
    turn = Turn()
    answers = turn.answers()
    answers.get_user(b"alice")
    answers.get_users(b"id=alice&id=bob")
    assert (1, False) == (len(turn.views), turn.views[0].closed)
    for function in turn.at_its_end:
        function()
    assert turn.views[0].closed
    answers.get_user(b"alice")
    assert len(turn.views) == 2


def test_how_far_behind_the_reader_is_stands_in_every_answer_that_rests_on_it() -> None:
    """Found, unchanged and unknown alike say how long ago the store was last known to be complete."""
    answers = Turn(progress=Readiness("stale", serves=True, complete_at=0.0)).answers()
    for answer in (
        answers.get_user(b"alice"),
        answers.get_user(b"bob"),
        answers.get_user(b"alice", Conditions(if_none_match=b"*")),
        answers.get_users(b"id=alice"),
    ):
        assert float(dict(answer.headers())[b"user-info-behind-seconds"]) > 0
