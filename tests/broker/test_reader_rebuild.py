"""The reader and topics that have changed: it never mixes two, and rebuilds next to the copy that it serves."""

import re
import time
from functools import partial

import httpx
import pytest

from replication.session import SERVING_BATCH
from tests.support.readers import Reader, body
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker


def test_a_topic_recreated_and_filled_at_once_is_never_mixed_with_the_old(topics: Topics, reader: Reader) -> None:
    """The client library continues silently in the new topic, at the old one's offsets: no response shows both."""
    for generation in range(4):
        if generation:
            topics.recreate("user-info")
        for number in range(100 * (generation + 1)):
            topics.send("user-info", f"{generation}-{number}".encode(), body(f"{generation}"))
        topics.flush()
        if not generation:
            reader.start_and_wait()
        newest = f"{generation}-{100 * (generation + 1) - 1}"
        asked = "&".join(f"id={old}-{number}" for old in range(generation + 1) for number in (0, 50, 99))

        def only_the_new(newest: str = newest, asked: str = asked) -> bool:
            found = reader.get(f"/users?id={newest}&{asked}").json()["users"]
            assert 1 == len({user["userId"] for user in found})
            return newest.startswith(found[0]["userId"])

        wait_for(only_the_new, 60)


def built(reader: Reader, more_than: int) -> int:
    """Return how many records a rebuild that is not complete has taken in, where those are more than so many."""
    said = reader.state()
    applied, target = said.get("applied"), said.get("target")
    if not (isinstance(applied, int) and isinstance(target, int) and said["state"] == "stale"):
        return 0
    return applied if more_than < applied < target else 0


def test_a_rebuild_continues_where_a_crash_left_it(topics: Topics, reader: Reader) -> None:
    """Old data is served through crashes in the middle of a rebuild; what was built before them is kept."""
    topics.send("user-info", b"old", body("old"))
    topics.flush()
    reader.start_and_wait()
    topics.recreate("user-info")
    for number in range(60_000):
        topics.send("user-info", str(number).encode(), body(str(number)))
    topics.flush()
    kept = 0
    for _ in range(2):
        kept = wait_for(partial(built, reader, kept), 60, "a rebuild in its midst")
        assert body("old") == reader.get("/users/old").content
        reader.kill()
        reader.start()
        again = wait_for(partial(built, reader, 0), 60, "the continued rebuild")
        assert again >= kept
    reader.await_state("ready", 60)
    for user in ("0", "31234", "59999"):
        assert reader.get(f"/users/{user}").content == body(user)
    assert 404 == reader.get("/users/old").status_code


def test_a_reader_that_answers_while_it_rebuilds_takes_small_batches(topics: Topics, reader: Reader) -> None:
    """Also after a restart, when what it answers with is another copy than the one that it builds."""
    topics.send("user-info", b"old", body("old"))
    topics.flush()
    assert 0 == reader.start_and_wait().stop()
    topics.recreate("user-info")
    for number in range(40 * SERVING_BATCH):
        topics.send("user-info", str(number).encode(), body(str(number)))
    topics.flush()
    reader.start_and_wait()
    batches = re.search(r"^reader_batch_seconds_count (\d+)", reader.get("/metrics").text, re.MULTILINE)
    assert batches is not None
    assert int(batches[1]) >= 40


def test_an_absence_longer_than_the_topic_remembers_deletions_is_rebuilt(topics: Topics, reader: Reader) -> None:
    """What was deleted meanwhile may leave no trace in the topic: the data is rebuilt, the old served until then."""
    topics.configure("user-info", delete_retention_ms="0")
    topics.send("user-info", b"alice", body("alice"))
    topics.flush()
    reader.start_and_wait()
    assert 0 == reader.stop()
    stopped = time.monotonic()
    wait_for(lambda: time.monotonic() - stopped > 0.01)
    reader.start_and_wait()
    assert "the topic keeps tombstones for 0 s" in reader.log()
    assert body("alice") == reader.get("/users/alice").content


def test_a_topic_recreated_during_a_rebuild_is_rebuilt_again(topics: Topics, reader: Reader) -> None:
    """What was built of a topic that is gone is dropped: only the newest topic is ever served next.

    A position in the first is not met in the third, though its number is lower than what the third has.
    """
    topics.send("user-info", b"old", body("old"))
    topics.flush()
    reader.start_and_wait()
    stated = reader.get("/users/old").headers
    position = {"if-min-offset": f"{stated['user-info-offset']}:{stated['user-info-topic']}"}
    assert 200 == httpx.get(f"{reader.url}/users/old", headers=position).status_code
    for generation in ("second", "third"):
        topics.recreate("user-info")
        for number in range(20_000):
            topics.send("user-info", f"{generation}-{number}".encode(), body(generation))
        # Or the producer would deliver into the next topic what it still holds of this one.
        topics.flush()
    wait_for(lambda: reader.get("/users/third-19999").status_code == 200, 60)
    assert 404 == reader.get("/users/second-0").status_code
    assert 404 == reader.get("/users/old").status_code
    refused = httpx.get(f"{reader.url}/users/old", headers=position)
    assert (503, "urn:user-info:problem:other-topic") == (refused.status_code, refused.json()["type"])
