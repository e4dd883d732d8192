"""What the joiner remembers of heartbeats."""

from joiner.core.watermarks import MAX_WAITING, SourceWatermarks


def test_a_partition_far_behind_takes_no_memory_without_bound() -> None:
    """Of very many heartbeats that it has yet to pass some are forgotten, and the last one counts."""
    passage, place = SourceWatermarks(), ("likes", 0)
    for number in range(1, 10 * MAX_WAITING + 1):
        passage.expect(number, {place: number})
    assert passage.reach({place: 0}) == {}
    assert passage.reach({place: 10 * MAX_WAITING}) == {place: 10 * MAX_WAITING}
    assert passage.oldest([place]) == 10 * MAX_WAITING
    assert passage.oldest([place, ("likes", 1)]) is None
