"""Input that is wrong in every way that a source can be wrong: set aside or refused, and all else continues."""

import json
from pathlib import Path

import pytest

from stack.servers.ports import free_port
from tests.support.joiners import Joiners
from tests.support.programs import Program
from tests.support.topics import compact, headers_of
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

NESTED = b'{"op": ' + b"[" * 1_000 + b"]" * 1_000 + b"}"
BAD_ROWS: dict[str, list[tuple[bytes | None, bytes | None, str]]] = {
    "tweets": [(b"1", b"{", "bad-json"), (b"1", b'{"tweet_id": 1}', "missing-column"), (b"1", NESTED, "unknown-op")],
    "follows": [
        (b"1", b'{"follow_id": 1, "follower_id": "alice"}', "missing-column"),
        (b"1", b'{"follow_id": 1, "follower_id": ["alice"], "followee_id": "bob"}', "bad-id"),
        (b"1", b'{"op": "d", "before": {"follow_id": 2}}', "key-mismatch"),
    ],
    "likes": [
        (b"1", b"", "bad-json"),
        (b"1", b'{"like_id": 1, "user_id": "%s"}' % (b"x" * 512), "bad-id"),
        (b"1", b'{"op": "t", "before": null, "after": null}', "unknown-op"),
        (None, None, "null-key"),
    ],
}


def test_bad_rows_of_every_table_change_no_count(joiners: Joiners) -> None:
    """A row is what it last was when it could be read, also after a restart; the bad ones are all kept aside."""
    topics = joiners.topics
    topics.create("users", "follows", "tweets", partitions=1)
    topics.create("likes", partitions=1, cleanup_policy="delete")  # takes records without a key, as any producer's may
    joiner = joiners.start()
    topics.put("users", user_id="alice")
    topics.put("users", user_id="bob", tweet_count=99, tweetCount=99, likeCount="x")
    topics.put("tweets", tweet_id=1, user_id="alice")
    topics.put("follows", follow_id=1, follower_id="alice", followee_id="bob")
    topics.put("likes", like_id=1, user_id="alice")
    for table, records in BAD_ROWS.items():
        for key, value, _ in records:
            topics.send(table, key, value)
    joiners.await_truth()
    expected = sorted((table, reason) for table, records in BAD_ROWS.items() for _, _, reason in records)

    def set_aside() -> list[tuple[str, str]]:
        found = [headers_of(letter) for letter in topics.messages("user-info-dead-letters")]
        return sorted((told["topic"].decode().removeprefix(topics.prefix), told["reason"].decode()) for told in found)

    wait_for(lambda: set_aside() == expected, 30, "every bad row among the dead letters")
    assert 0 == joiner.stop()
    joiner.start()
    topics.put("likes", like_id=2, user_id="alice")
    joiners.await_truth()
    assert expected == set_aside()


def test_a_profile_that_fits_into_no_record_is_set_aside_cut(joiners: Joiners) -> None:
    """The largest records that a source topic takes stop nothing; the letter says how much was cut off."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    joiners.start()
    large = json.dumps({"user_id": "huge", "description": "d" * (4_600_000)}).encode()
    topics.send("users", b"huge", large)
    topics.put("users", user_id="alice", description="d" * 3_900_000)
    joiners.await_truth()
    (letter,) = wait_for(lambda: topics.messages("user-info-dead-letters"), 30, "the dead letter")
    told = headers_of(letter)
    assert (told["reason"], told["cut-from-bytes"]) == (b"too-large", str(len(large)).encode())
    assert b"huge" == letter.key()
    assert large.startswith(letter.value() or b"no value")
    served = json.loads(compact(topics.messages("user-info"))[b"alice"])
    assert 3_900_000 == len(served["description"])


def test_large_values_that_do_not_fit_together_stop_nothing(joiners: Joiners) -> None:
    """A new large value with one that Debezium left out: the latter becomes null, since no record holds both."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    joiners.start()
    topics.put("users", user_id="alice", description="d" * 3_000_000)
    joiners.await_truth()
    topics.put("users", user_id="alice", description="__debezium_unavailable_value", name="n" * 3_000_000)
    topics.put("users", user_id="bob")
    joiners.await_truth()

    def served() -> tuple[int, object]:
        body = json.loads(compact(topics.messages("user-info"))[b"alice"])
        return len(body["name"] or ""), body["description"]

    wait_for(lambda: served() == (3_000_000, None), 30, "the new name")


def test_empty_topics_need_no_wait(joiners: Joiners) -> None:
    """With four empty sources the joiner is ready, and so is it for the first row."""
    topics = joiners.topics
    topics.create_sources()
    joiners.start()
    assert {} == compact(topics.messages("user-info"))
    topics.put("likes", like_id=1, user_id="first")
    topics.put("users", user_id="first")
    joiners.await_truth()


def test_a_waiting_joiner_says_why_every_few_seconds(joiners: Joiners) -> None:
    """The log shows why nothing happens, also some time after the start, and the joiner can be stopped as usual."""
    joiners.topics.create("users", "tweets", "likes")
    joiner = joiners.add().start()
    wait_for(lambda: joiner.log().count("(FOLLOWS_TOPIC) do not exist") >= 3, 60, "the third reminder")
    assert joiner.running
    assert 0 == joiner.stop()


@pytest.mark.parametrize(
    ("tier", "variable", "value"),
    [
        ("joiner", "JOINER_COMMIT_INTERVAL_SECONDS", "soon"),
        ("joiner", "JOINER_HTTP_PORT", "80000"),
        ("joiner", "LIKES_TOPIC", "users"),
        ("joiner", "KAFKA_GROUP_ID", "mine"),
        ("joiner", "KAFKA_SECURITY_PROTOCOL", "plain"),
        ("reader", "READER_PORT", "http"),
        ("reader", "USER_INFO_TOPIC", "two words"),
        ("reader", "KAFKA_ISOLATION_LEVEL", "read_uncommitted"),
        ("reader", "KAFKA_SOCKET_TIMEOUT_MS", "-1"),
    ],
)
def test_a_setting_that_does_not_parse_is_one_line_that_names_it(
    tmp_path: Path, tier: str, variable: str, value: str
) -> None:
    """Nothing has been touched by then: no folder made, no port taken, no broker asked."""
    folder = tmp_path / "state"
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
        f"{tier.upper()}_STATE_DIR": str(folder),
        variable: value,
    }
    with Program(tier, environment, tmp_path / "log") as program:
        assert 1 == program.wait(60)
    errors = [line for line in program.log().splitlines() if line.startswith("Error: ")]
    assert 1 == len(errors)
    assert variable in errors[0]
    assert "Traceback" not in program.log()
    assert not folder.exists()
