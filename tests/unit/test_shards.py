"""Which users a shard holds, and what a reader of one says of the others."""

import asyncio
import json
from dataclasses import replace
from itertools import chain
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.http.conditions import Conditions
from reader.http.events import EventStreams
from reader.http.updates import NOTHING_KNOWN
from reader.http.users import UserResponses
from reader.settings import ReaderSettings
from reader.storage.metadata import read_topic
from reader.storage.read_view import StoredRecord
from replication.compatibility import CopyIdentity, decide
from replication.freshness import Freshness
from replication.readiness import Readiness
from replication.wholeness import Wholeness
from shared.builds import BuildMark
from shared.errors import SettingError
from shared.heartbeats import Heartbeat
from shared.settings import read_settings
from shared.shards import Shard, Share
from shared.topics import partition_of
from tests.support.read_views import DictReadView

HOUR_MS = 3_600_000
PARTITIONS = 8
USERS = [f"user{number}" for number in range(40)]
READY = Readiness("ready", serves=True)
TOPIC = CopyIdentity("c1", "t1", PARTITIONS, 1)

user_ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=120).filter(
    lambda user: len(user.encode()) <= 511
)
sizes = st.integers(1, 12).flatmap(lambda shards: st.tuples(st.just(shards), st.integers(shards, 40)))


def shard_of(user: str, shards: int) -> int:
    """Return the number of a user's shard."""
    return partition_of(user.encode(), PARTITIONS) % shards


def readers_of(shards: int) -> list[UserResponses]:
    """Return a reader of each shard, which holds the users whose partitions it takes."""
    return [reader_of(Share(PARTITIONS, Shard(number, shards))) for number in range(shards)]


def reader_of(share: Share) -> UserResponses:
    """Return a reader of a share."""
    placed = {user.encode(): partition_of(user.encode(), PARTITIONS) for user in USERS}
    records = {user: StoredRecord(placed[user], 7, 0, b"{}") for user in placed if placed[user] in share.held}
    view = DictReadView(records, None, partitions=PARTITIONS, share=share)
    return UserResponses(lambda: view, lambda: READY, lambda _: None)


@pytest.mark.parametrize(
    "text", ["2/2", "x", "1", "0/0", "-1/2", "1/-2", "01/2", "0 / 2", "1/2/3", "½", "0/1000000000"]
)
def test_what_is_no_shard_is_refused_by_name(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable, what it is, and what it must be."""
    monkeypatch.setenv("READER_SHARD", text)
    with pytest.raises(SettingError, match=r"READER_SHARD: a shard is k/n, .* such as 0/2 or 1/2 \(it is "):
        read_settings(ReaderSettings)


def test_no_shard_is_all_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset or empty: none; set: that one."""
    for text, shard in (("", None), ("0/1", Shard(0, 1)), ("1/2", Shard(1, 2))):
        monkeypatch.setenv("READER_SHARD", text)
        assert shard == read_settings(ReaderSettings).shard


@given(size=sizes, user=user_ids)
def test_every_partition_and_every_user_is_in_exactly_one_shard(size: tuple[int, int], user: str) -> None:
    """Whether or not the shards divide the partitions; and all shards agree on which it is."""
    shards, partitions = size
    shares = [Share(partitions, Shard(number, shards)) for number in range(shards)]
    assert list(range(partitions)) == sorted(partition for share in shares for partition in share.held)
    found = {share.find_other_shard(user.encode()) or share.shard for share in shares}
    assert {Shard(partition_of(user.encode(), partitions) % shards, shards)} == found


@given(shards=st.integers(1, PARTITIONS), asked=st.lists(st.sampled_from(USERS) | user_ids, min_size=1, max_size=8))
def test_every_user_is_answered_by_one_of_the_shards(shards: int, asked: list[str]) -> None:
    """Alone, 421 from all others, naming that one; together, only by the shard that all of them are in."""
    readers = readers_of(shards)
    for user in asked:
        for number, reader in enumerate(readers):
            response = reader.get_user(quote(user, safe="").encode())
            document, own = json.loads(response.body), shard_of(user, shards)
            if number == own:
                assert (200 if user in USERS else 404) == response.status
            else:
                assert (421, {f"{own}/{shards}": [user]}) == (response.status, document["elsewhere"])
                assert ("urn:user-info:problem:other-shard", f"{number}/{shards}") == (
                    document["type"],
                    document["shard"],
                )
    query = "&".join(f"id={quote(user, safe='')}" for user in asked).encode()
    for number, reader in enumerate(readers):
        response = reader.get_users(query)
        document = json.loads(response.body)
        elsewhere = [user for user in asked if shard_of(user, shards) != number]
        assert (421 if elsewhere else 200) == response.status
        named = document.get("elsewhere", {})
        assert sorted(elsewhere) == sorted(chain.from_iterable(named.values()))
        assert {f"{shard_of(user, shards)}/{shards}" for user in elsewhere} == {*named}


def test_what_no_record_can_have_is_in_no_shard() -> None:
    """Any reader may say that such an id is unknown."""
    for reader in readers_of(2):
        assert [404] * 3 == [reader.get_user(encoded).status for encoded in (b"%FF", b"x" * 512, b"")]
        assert 200 == reader.get_users(b"id=&id=" + b"x" * 512).status


def test_a_reader_that_is_not_ready_says_so_first() -> None:
    """It may come to hold another shard."""
    view = DictReadView({}, None, partitions=PARTITIONS, share=Share(PARTITIONS, Shard(0, 2)))
    reader = UserResponses(lambda: view, lambda: Readiness("replaying"), lambda _: None)
    assert {503} == {reader.get_user(user.encode()).status for user in USERS}


def test_positions_of_other_shards_are_passed_over() -> None:
    """They say nothing of this shard's users; those of its own, and of partitions that do not exist, are compared."""
    (user,) = [user for user in USERS if partition_of(user.encode(), PARTITIONS) == 2][:1]
    reader = readers_of(2)[0]
    for offsets, status in ((b"3:99", 200), (b"1:5, 2:7", 200), (b"2:8", 503), (b"3:1, 2:8", 503), (b"9:0", 503)):
        assert status == reader.get_user(user.encode(), Conditions(if_min_offset=offsets)).status, offsets


def test_a_request_for_another_shard_is_misdirected_whatever_it_demands() -> None:
    """The positions that it names may be that shard's, which this one would call unknown for ever."""
    user = next(user for user in USERS if shard_of(user, 2) == 1)
    for conditions in (
        Conditions(if_min_offset=b"9:9"),
        Conditions(max_staleness=b"0.1"),
        Conditions(if_none_match=b"*"),
    ):
        assert 421 == readers_of(2)[0].get_user(user.encode(), conditions).status
        assert 421 == readers_of(2)[0].get_users(b"id=" + user.encode(), conditions).status


def test_a_stream_ends_when_the_reader_comes_to_hold_another_shard() -> None:
    """It does not call the user absent, and a client that reconnects is told the shard."""
    user = next(user for user in USERS if shard_of(user, 2) == 0).encode()
    partition = partition_of(user, PARTITIONS)
    held = [Share(PARTITIONS, Shard(0, 2))]

    def open_view() -> DictReadView:
        records = {user: StoredRecord(partition, 7, 0, b"{}")} if partition in held[0].held else {}
        return DictReadView(records, None, partitions=PARTITIONS, share=held[0])

    async def read_to_the_end(streams: EventStreams) -> bytes:
        stream, received = streams.open_stream(user, NOTHING_KNOWN), b""
        async for piece in streams.read_stream(stream):
            received += piece
            if b"record" in received:
                held[0] = Share(PARTITIONS, Shard(1, 2))
        streams.close_stream(stream)
        return received

    streams = EventStreams(open_view, lambda: READY)
    assert streams.check(user) is None
    received = asyncio.run(asyncio.wait_for(read_to_the_end(streams), 30))
    assert (1, 0) == (received.count(b"event: record"), received.count(b"event: absent"))
    refused = streams.check(user)
    assert refused is not None
    assert 421 == refused.status


def test_a_copy_of_another_shard_is_rebuilt_and_more_shards_than_partitions_are_refused() -> None:
    """Into a shard, out of one, and where n changes; the identity of a whole copy stays what it was."""
    half, quarter = replace(TOPIC, shard="0/2"), replace(TOPIC, shard="0/4")
    assert {"cluster": "c1", "topic": "t1", "partitions": 8, "format": 1} == TOPIC.to_note()
    for known, seen in ((TOPIC, half), (half, TOPIC), (half, quarter)):
        decided = decide(known.to_note(), seen, 0, HOUR_MS)
        assert ("rebuild", True) == (decided.action, "READER_SHARD asks for" in str(decided.reason))
    assert ("continue", None) == decide(half.to_note(), half, 0, HOUR_MS)
    for known_note in (None, TOPIC.to_note()):
        decided = decide(known_note, replace(TOPIC, shard="0/9"), 0, HOUR_MS)
        assert "refuse" == decided.action
        assert "READER_SHARD=0/9 names more shards than the topic has partitions, which is 8" in str(decided.reason)
    assert "refuse" == decide(half.to_note(), replace(quarter, partitions=9), 0, HOUR_MS).action


def test_all_shards_name_the_topic_alike() -> None:
    """What a client has seen at one reader means the same at another; a new topic has another name."""
    shards = [replace(TOPIC, shard=shard) for shard in (None, "0/2", "1/2", "0/4")]
    copied = [read_topic(identity.to_note()) for identity in shards]
    assert 1 == len({each.tag for each in copied if each is not None})
    assert [None, Shard(0, 2), Shard(1, 2), Shard(0, 4)] == [each.share.shard for each in copied if each is not None]
    recreated = read_topic(replace(TOPIC, topic="t2", shard="0/2").to_note())
    assert recreated is not None
    assert copied[0] is not None
    assert recreated.tag != copied[0].tag


def test_freshness_and_wholeness_are_those_of_the_share() -> None:
    """No heartbeat and no mark of another shard's partitions is waited for, and each of its own is."""
    share = Share(4, Shard(1, 2))
    freshness, wholeness = Freshness(share), Wholeness(share)
    for partition, whole in ((1, True), (3, False)):
        assert freshness.oldest_ms is None
        freshness.note(partition, Heartbeat(partition, 4, 1_000 + partition))
        wholeness.note(partition, BuildMark(partition, 4, "b1", whole))
    assert ({1: 1_001, 3: 1_003}, 1_001) == (freshness.by_partition(), freshness.oldest_ms)
    assert wholeness.whole is False
    wholeness.note(3, BuildMark(3, 4, "b1", whole=True))
    assert wholeness.whole is True
