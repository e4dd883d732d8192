"""No half-built answer: a build writes each user once, whole, and marks of it tell readers when they may serve."""

import random
from collections import Counter

import pytest
from confluent_kafka import Message

from joiner.rebuild import NOT_BEGUN
from shared.builds import BuildMark, parse_mark
from tests.support.joiners import Joiners
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

USERS = 500
LIKES = 8_000


def fill(topics: Topics, seed: int) -> None:
    """Write users, and likes of random ones, before any joiner runs."""
    chosen = random.Random(seed)
    topics.create_sources()
    for user in range(USERS):
        topics.put("users", user_id=user)
    for like in range(LIKES):
        topics.put("likes", like_id=like, user_id=chosen.randrange(USERS), tweet_id=1)
    topics.flush()


def find_marks(messages: list[Message]) -> list[tuple[int, BuildMark]]:
    """Return each mark with its place among the messages."""
    found = ((place, parse_mark(message.key() or b"", message.value())) for place, message in enumerate(messages))
    return [(place, mark) for place, mark in found if mark is not None]


def is_built(topics: Topics) -> bool:
    """Return whether the newest mark of each part says that its build is over."""
    newest = {(mark.part, mark.parts): mark for _, mark in find_marks(list(topics.messages("user-info")))}
    return bool(newest) and all(mark.whole and mark.percent is None for mark in newest.values())


def users_of(messages: list[Message]) -> Counter[bytes]:
    """Return how often each user was written."""
    keys = [message.key() or b"" for message in messages]
    return Counter(key for key in keys if not key.startswith(b"\xff"))


def test_a_first_build_writes_each_user_once_between_its_marks(joiners: Joiners) -> None:
    """Killed twice, with a second joiner that comes and goes: what is written is final, and whole is said behind it."""
    topics = joiners.topics
    fill(topics, 1)
    joiner = joiners.start(USER_INFO_PARTITIONS="2")
    other = joiners.add(USER_INFO_PARTITIONS="2")
    for _ in range(2):
        joiner.kill()
        other.start_and_wait()
        joiner.start_and_wait()
        assert 0 == other.stop()
    wait_for(lambda: is_built(topics), 60, "the build over")
    messages = list(topics.messages("user-info"))
    written = users_of(messages)
    assert ({1}, USERS) == (set(written.values()), len(written))
    assert topics.truth() == topics.user_info()
    for partition in range(2):
        own = [message for message in messages if message.partition() == partition]
        places = [place for place, message in enumerate(own) if not (message.key() or b"").startswith(b"\xff")]
        whole = {mark.whole for place, mark in find_marks(own) if place < places[-1]}
        assert {False} == whole
        assert NOT_BEGUN == find_marks(own)[0][1].build
        assert find_marks(own)[-1][1].whole
    assert "requested" not in joiner.log()


def test_a_rebuild_replaces_each_user_in_one_step(joiners: Joiners) -> None:
    """The old record stays until the new one is whole; who was deleted meanwhile is gone at the end."""
    topics = joiners.topics
    fill(topics, 2)
    joiner = joiners.start(USER_INFO_PARTITIONS="2")
    wait_for(lambda: is_built(topics), 60, "the first build over")
    before = topics.user_info()
    assert 0 == joiner.stop()
    first = {mark.build for _, mark in find_marks(list(topics.messages("user-info")))}
    topics.delete("users", 7)
    topics.flush()
    joiners.reset()
    joiner.start_and_wait()
    for like in range(LIKES, LIKES + 200):
        topics.put("likes", like_id=like, user_id=like % USERS, tweet_id=1)
    joiners.await_truth()
    wait_for(lambda: is_built(topics), 60, "the rebuild over")
    joiner.wait_until_said("the build is complete")
    again = [mark for _, mark in find_marks(list(topics.messages("user-info"))) if mark.build not in first]
    assert {True} == {mark.whole for mark in again}
    counts = {user: [counts["likeCount"]] for user, counts in before.items()}
    for user, shown in topics.user_info().items():
        counts[user].append(shown["likeCount"])
        assert sorted(counts[user]) == counts[user]
    assert "7" not in topics.user_info()
