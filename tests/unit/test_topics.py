"""What the topics promise: policies, sizes, and the partition that any program can compute."""

import pytest

from shared import topics
from shared.topics import PARTITIONER, partition_of


@pytest.mark.parametrize(
    ("key", "crc"),
    [
        ("", 0x00000000),
        ("1", 0x83DCEFB7),
        ("123456789", 0xCBF43926),
        ("The quick brown fox jumps over the lazy dog", 0x414FA339),
    ],
)
def test_a_users_partition_is_crc_32_of_the_key(key: str, crc: int) -> None:
    """The published check values of CRC-32, as zlib, librdkafka's `consistent` and HAProxy's crc32 compute it."""
    assert "consistent" == PARTITIONER
    for partitions in (1, 3, 8, 10_000):
        assert crc % partitions == partition_of(key.encode(), partitions)


def test_the_served_topic_and_the_changelogs_are_compacted() -> None:
    """One record per key is kept for ever, and one of 4 MiB passes."""
    for topic in (topics.user_info_spec("served", 8), topics.changelog_spec("state", 8)):
        assert "compact" == topic.config["cleanup.policy"]
        assert 4 * 1024 * 1024 < int(topic.config["max.message.bytes"])
        assert 8 == topic.partitions
    assert "served" == topics.user_info_spec("served", 8).name


def test_the_internal_topic_keeps_each_difference_until_it_is_consumed() -> None:
    """No retention by time or size, and never compacted."""
    config = topics.user_info_changes_spec("changes", 8).config
    assert ("delete", "-1", "-1") == (config["cleanup.policy"], config["retention.ms"], config["retention.bytes"])


def test_dead_letters_are_kept_for_a_fortnight() -> None:
    """Long enough for an operator to look at them."""
    config = topics.dead_letters_spec("letters").config
    assert ("delete", str(14 * 24 * 3600 * 1000)) == (config["cleanup.policy"], config["retention.ms"])
