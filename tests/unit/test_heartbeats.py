"""What heartbeats in user-info say, and of which of its partitions."""

import pytest

from shared.heartbeats import Heartbeat, parse_heartbeat
from shared.parts import partitions_of, parts_of
from shared.topics import partition_of


def test_a_heartbeat_is_read_as_it_was_written() -> None:
    """Key and value are those that the documents name."""
    heartbeat = Heartbeat(3, 8, 1_700_000_000_123)
    assert (b"\xffheartbeat/3/8", b'{"sourceTimeMs": 1700000000123}') == (heartbeat.key, heartbeat.value)
    assert heartbeat == parse_heartbeat(heartbeat.key, heartbeat.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"\xffheartbeat", b'{"sourceTimeMs": 1}'),
        (b"\xffheartbeat/8/8", b'{"sourceTimeMs": 1}'),
        (b"\xffheartbeat/0/1", b'{"sourceTimeMs": "1"}'),
        (b"\xffheartbeat/0/1", b"[]"),
        (b"\xffheartbeat/0/1", b"{"),
        (b"\xffheartbeat/0/1", None),
        (b"heartbeat/0/1", b'{"sourceTimeMs": 1}'),
    ],
)
def test_other_records_are_no_heartbeats(key: bytes, value: bytes | None) -> None:
    """Reserved records of another kind, and users named like one, are passed over."""
    assert parse_heartbeat(key, value) is None


@pytest.mark.parametrize(("partitions", "parts"), [(8, 8), (8, 12), (3, 4), (12, 4), (1, 5), (5, 1)])
def test_every_user_is_in_a_part_that_feeds_its_partition(partitions: int, parts: int) -> None:
    """For any partition counts of the two topics: no pair is missing, none is there without users."""
    users = [str(user).encode() for user in range(2_000)]
    pairs = {(partition_of(user, partitions), partition_of(user, parts)) for user in users}
    assert pairs == {(p, part) for p in range(partitions) for part in parts_of(p, partitions, parts)}
    assert pairs == {(p, part) for part in range(parts) for p in partitions_of(part, partitions, parts)}
