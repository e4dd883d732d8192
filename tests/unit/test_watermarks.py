"""What the joiner remembers of heartbeats."""

from joiner.core.watermarks import MAX_WAITING, SourceWatermarks


def test_a_partition_far_behind_takes_no_memory_without_bound() -> None:
    """Of very many heartbeats that it has yet to pass some are forgotten, and the last one counts."""
    watermarks, partition_id = SourceWatermarks(), ("likes", 0)
    for number in range(1, 10 * MAX_WAITING + 1):
        watermarks.note_heartbeat(number, {partition_id: number})
    assert {} == watermarks.advance({partition_id: 0})
    assert watermarks.advance({partition_id: 10 * MAX_WAITING}) == {partition_id: 10 * MAX_WAITING}
    assert 10 * MAX_WAITING == watermarks.find_oldest([partition_id])
    assert watermarks.find_oldest([partition_id, ("likes", 1)]) is None
