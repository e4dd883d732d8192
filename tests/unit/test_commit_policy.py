"""When a checkpoint closes."""

import pytest

from joiner.core.commit_policy import BATCH, CHECKPOINT_ROWS, SLOW_COMMIT_SECONDS, CommitPolicy, limit_wait


def test_commits_follow_each_other_by_the_interval_however_long_they_take() -> None:
    """While caught up the commit counts as part of the interval, and leaves half of it at the least."""
    policy = CommitPolicy(0.1, 1.0)
    assert pytest.approx(0.1) == policy.choose_interval(10, 10)
    policy.note_commit(0.03)
    assert pytest.approx(0.07) == policy.choose_interval(10, 10)
    policy.note_commit(0.4)
    assert pytest.approx(0.05) == policy.choose_interval(10, 10)


def test_a_full_batch_makes_the_checkpoint_long() -> None:
    """Behind, more is summed before it is passed on."""
    policy = CommitPolicy(0.1, 1.0)
    assert 1.0 == policy.choose_interval(BATCH, 10)
    assert pytest.approx(0.1) == policy.choose_interval(BATCH - 1, 10)


def quick() -> CommitPolicy:
    """Return a policy after many quick commits."""
    policy = CommitPolicy(0.1, 1.0)
    for _ in range(20):
        policy.note_commit(0.1)
    return policy


def test_memory_closes_a_checkpoint_at_once() -> None:
    """However large the backlog, no more than this is held."""
    assert 1.0 == quick().choose_interval(BATCH, CHECKPOINT_ROWS)
    assert 0.0 == quick().choose_interval(BATCH, CHECKPOINT_ROWS + 1)


def test_the_first_checkpoints_are_small() -> None:
    """How long a commit takes is not known yet: each quick one lets the next be twice as large."""
    policy = CommitPolicy(0.1, 1.0)
    assert 1.0 == policy.choose_interval(BATCH, BATCH)
    assert 0.0 == policy.choose_interval(BATCH, BATCH + 1)
    policy.note_commit(0.1)
    assert 1.0 == policy.choose_interval(BATCH, 2 * BATCH)
    assert 0.0 == policy.choose_interval(BATCH, 2 * BATCH + 1)


def test_slow_commits_make_checkpoints_smaller_and_quick_ones_larger_again() -> None:
    """A commit must end within the transaction's time, on a slow disk too; and a batch always fits."""
    policy = quick()
    policy.note_commit(SLOW_COMMIT_SECONDS + 1)
    assert 0.0 == policy.choose_interval(BATCH, CHECKPOINT_ROWS // 2 + 1)
    for _ in range(20):
        policy.note_commit(SLOW_COMMIT_SECONDS + 1)
    assert 1.0 == policy.choose_interval(BATCH, BATCH)
    for _ in range(20):
        policy.note_commit(0.1)
    assert 1.0 == policy.choose_interval(BATCH, CHECKPOINT_ROWS)


@pytest.mark.parametrize(("left", "seconds"), [(-3.0, 0.001), (0.005, 0.005), (2.0, 0.02)])
def test_a_batch_waits_no_longer_than_the_checkpoint_is_open(left: float, seconds: float) -> None:
    """What arrived is taken all the same where nothing is left."""
    assert seconds == limit_wait(left)
