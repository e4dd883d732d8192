"""Where to begin reading: rows change in PostgreSQL, and the answers over HTTP follow.

Between the two are Debezium, Kafka, the joiner and the reader, all of them real. Each step below is one change that an
application makes, and what `GET /users/:userId` then answers.
"""

import random
import string

import httpx
import pytest

from tests.support.http_client import get
from tests.support.service import Service
from tests.support.waiting import wait_for

pytestmark = pytest.mark.end_to_end

ALICE = "INSERT INTO users (user_id, username, name, joined_date) VALUES (1, 'alice', 'Alice 爱丽丝', '2020-02-29')"
BOB = "INSERT INTO users (user_id, username) VALUES (2, 'bob')"


def test_answers_follow_rows(service: Service) -> None:
    """What SQL would answer, the service answers, change after change."""
    # 1. Alice and Bob join. There are no other users.
    service.sql(ALICE, BOB)
    service.await_answer(1)
    assert {
        "userId": "1",
        "username": "alice",
        "name": "Alice 爱丽丝",
        "description": None,
        "location": None,
        "webPageUrl": None,
        "joinedDate": "2020-02-29T00:00:00.000000Z",
        "profileImageUrl": None,
        "backgroundImageUrl": None,
        "tweetCount": 0,
        "followingCount": 0,
        "followerCount": 0,
        "likeCount": 0,
    } == service.answer(1)
    assert service.answer(3) is None

    # 2. Alice tweets, Bob follows her and likes the tweet.
    service.sql(
        "INSERT INTO tweets (tweet_id, text, user_id) VALUES (10, 'hello', 1)",
        "INSERT INTO follows (follow_id, follower_id, followee_id) VALUES (20, 2, 1)",
        "INSERT INTO likes (like_id, user_id, tweet_id) VALUES (30, 2, 10)",
    )
    service.await_answer(1, tweetCount=1, followerCount=1, followingCount=0, likeCount=0)
    service.await_answer(2, followingCount=1, likeCount=1, tweetCount=0, followerCount=0)

    # 3. She edits the tweet, which changes no count; then it changes hands, which changes two.
    service.sql("UPDATE tweets SET text = 'hello, world' WHERE tweet_id = 10")
    service.sql("UPDATE tweets SET user_id = 2 WHERE tweet_id = 10")
    service.await_answer(1, tweetCount=0)
    service.await_answer(2, tweetCount=1)

    # 4. She follows herself: one row, both of her counts.
    service.sql("INSERT INTO follows (follow_id, follower_id, followee_id) VALUES (21, 1, 1)")
    service.await_answer(1, followingCount=1, followerCount=2)

    # 5. A tweet without an owner counts for no user, until it is hers.
    service.sql("INSERT INTO tweets (tweet_id, text, user_id) VALUES (11, 'anonymous', NULL)")
    service.sql("UPDATE tweets SET user_id = 1 WHERE tweet_id = 11")
    service.await_answer(1, tweetCount=1)

    # 6. Bob takes his like back and unfollows.
    service.sql("DELETE FROM likes WHERE like_id = 30", "DELETE FROM follows WHERE follow_id = 20")
    service.await_answer(2, likeCount=0, followingCount=0)
    service.await_answer(1, followerCount=1)

    # 7. Alice leaves, and is answered 404; her rows wait, one more arrives, and she finds them when she comes back.
    service.sql("DELETE FROM users WHERE user_id = 1")
    service.await_absence(1)
    service.sql("INSERT INTO likes (like_id, user_id, tweet_id) VALUES (31, 1, 10)")
    service.sql(ALICE)
    service.await_answer(1, username="alice", tweetCount=1, followingCount=1, followerCount=1, likeCount=1)

    # 8. The dust has settled: every user is answered as SQL says, keys in their order.
    truth = service.truth()
    assert [list(record.items()) for record in truth.values()] == [
        list((service.answer(user_id) or {}).items()) for user_id in truth
    ]


@pytest.mark.parametrize("identity", ["FULL", "DEFAULT"])
def test_a_large_description_survives_edits_of_other_columns(service: Service, identity: str) -> None:
    """PostgreSQL stores it out of line and logs it only when it changes; whichever way the log is kept, it stays."""
    description = "".join(random.Random(1).choices(string.ascii_letters, k=50_000))
    try:
        service.sql(f"ALTER TABLE users REPLICA IDENTITY {identity}")
        service.sql(f"INSERT INTO users (user_id, username, description) VALUES (1, 'alice', '{description}')")
        service.await_answer(1, description=description)

        service.sql("UPDATE users SET username = 'alicia' WHERE user_id = 1")

        service.await_answer(1, username="alicia", description=description)
    finally:
        service.sql("ALTER TABLE users REPLICA IDENTITY FULL")


def test_a_missing_user_is_answered_at_once(service: Service) -> None:
    """A 404 is an answer, not a time-out: the reader knows that it has them all."""
    response = get(f"http://127.0.0.1:{service.reader_port}/users/nobody")
    assert httpx.codes.NOT_FOUND == response.status_code


def test_the_reader_knows_how_old_its_answers_may_be(service: Service) -> None:
    """Heartbeats come all the way from PostgreSQL while nothing else changes, and a request may ask for their age."""

    def answered(limit: str) -> int:
        url = f"http://127.0.0.1:{service.reader_port}/users/nobody"
        return get(url, headers={"Max-Staleness-Seconds": limit}).status_code

    wait_for(lambda: answered("30") == httpx.codes.NOT_FOUND, 60, "a heartbeat in every partition")
    assert httpx.codes.SERVICE_UNAVAILABLE == answered("0")
