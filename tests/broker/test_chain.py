"""What Kafka keeps twice, or not at all, of what one stage sends to the other ends the joiner and is never counted."""

import itertools

import pytest
from confluent_kafka import Message

from joiner.core.chain import CHAIN_HEADER, decode_links, encode_links
from tests.support.joiners import Joiners
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

RESET = "stop every joiner of the group and run `python -m joiner reset`"


def find_pack(joiners: Joiners) -> Message:
    """Return a pack that the joiner has sent to itself and counted; those that it has deleted since cannot be read."""
    topics, numbers = joiners.topics, itertools.count()

    def find() -> list[Message]:
        topics.put("likes", like_id=next(numbers), user_id=1, tweet_id=1)
        joiners.await_truth()
        return [each for each in topics.messages("user-info-changes") if len(decode_links(each.headers())) > 1]

    topics.put("users", user_id=1)
    return wait_for(find, 60, "a pack of a source partition")[-1]


@pytest.mark.parametrize(("skipped", "said"), [(0, "once more, after pack"), (2, "is missing: its changes")])
def test_a_pack_that_comes_again_or_is_missing_is_never_counted(joiners: Joiners, skipped: int, said: str) -> None:
    """The joiner ends by name, as does each later start, and names the way back, which ends in the truth."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    joiner = joiners.start()

    # 1. Someone writes a copy of a pack, or one that should have come later.
    pack = find_pack(joiners)
    links = [each._replace(number=each.number + skipped) for each in decode_links(pack.headers())]
    counted, headers = topics.user_info(), {CHAIN_HEADER: encode_links(links)}
    topics.send("user-info-changes", pack.key(), pack.value(), pack.partition(), headers)
    topics.flush()
    where = f"{topics.name('user-info-changes')}[{pack.partition()}]"

    # 2. Nothing of it is counted, now or at the next start.
    for _ in range(2):
        assert 1 == joiner.wait(60)
        last = joiner.log().rsplit("Error: ", 1)[1]
        assert where in last
        assert said in last
        assert RESET in last
        assert "Traceback" not in joiner.log()
        assert counted == topics.user_info()
        if skipped:
            return
        joiner.start()
    assert 1 == joiner.wait(60)

    # 3. The way back.
    joiners.reset()
    joiner.start()
    topics.put("likes", like_id="last", user_id=1, tweet_id=1)
    joiners.await_truth()
