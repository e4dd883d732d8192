"""How far a copy is behind its topic, partition by partition, and what other threads may read of that."""

import pytest

from replication.lags import NO_LAGS
from replication.positions import Bounds, Positions

BOUNDS = Bounds(firsts={0: 2, 1: 0, 2: 0}, ends={0: 12, 1: 9, 2: 8})


@pytest.fixture
def positions() -> Positions:
    """Give the positions of a copy that has read all of partition 2 and parts of the others."""
    return Positions({0: 10, 1: 5, 2: 8}, BOUNDS)


def test_lags_are_of_the_ends_that_are_known(positions: Positions) -> None:
    """Records are counted to the ends, seconds from when an end was last in the copy."""
    positions.note_batch({0: 10}, {0}, now=99.0)
    positions.note_batch({0: 11}, {2}, now=100.0)
    lags = positions.lags()
    assert {0: 2, 1: 4, 2: 0} == lags.records
    assert {0: 101.0 - 99.0, 2: 0.0} == lags.seconds(101.0)
    assert ({}, {}) == (NO_LAGS.records, NO_LAGS.seconds(101.0))


def test_lags_that_were_handed_out_do_not_change(positions: Positions) -> None:
    """Another thread reads them while the next batch is applied."""
    lags = positions.lags()
    positions.advance({1: 9})
    positions.note_batch({1: 9}, {1}, now=100.0)
    assert ({0: 2, 1: 4, 2: 0}, {}) == (lags.records, lags.seconds(100.0))


def test_positions_never_go_back(positions: Positions) -> None:
    """A batch that was read before advances nothing."""
    assert not positions.would_advance({0: 10, 1: 4})
    assert positions.would_advance({0: 10, 1: 6})
    positions.advance({0: 9, 1: 6})
    assert 10 - 2 + 6 + 8 == positions.applied


def test_a_copy_is_as_complete_as_its_slowest_partition(positions: Positions) -> None:
    """An end counts from when Kafka was asked for it, and only where the copy had reached it."""
    positions.note_ends({0: 12, 1: 5, 2: 8}, asked_at=50.0)
    assert (None, [None, 50.0, 50.0]) == (positions.complete_at, positions.held_at(60.0))
    positions.advance({0: 12})
    positions.note_ends({0: 12}, asked_at=40.0)
    assert 40.0 == positions.complete_at
    positions.note_caught_up(60.0)
    assert 40.0 == positions.complete_at


def test_a_copy_has_caught_up_at_the_ends_seen_first(positions: Positions) -> None:
    """What is written later counts for the target, and not for being caught up."""
    assert (21, 21, 27) == (positions.first, positions.applied, positions.first_target)
    positions.note_ends({1: 20}, asked_at=1.0)
    positions.advance({0: 12, 1: 8})
    before = positions.have_reached_first_ends
    positions.advance({1: 9})
    assert (False, True) == (before, positions.have_reached_first_ends)
    assert (27, 38) == (positions.first_target, positions.target)
