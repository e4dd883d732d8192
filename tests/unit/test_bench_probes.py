"""What the measurement of freshness rests on."""

import pytest

from bench.service.probes import count_seconds_above


def test_time_above_a_limit_is_what_samples_at_intervals_show() -> None:
    """Samples in between are left out; each counted one covers the time since the one before."""
    ages = [(when / 4, 12.0 if 10 <= when / 4 < 15 else 1.0) for when in range(100)]
    assert pytest.approx(5.0) == count_seconds_above(ages, 10.0, 1.0)
    assert 0.0 == count_seconds_above(ages, 12.0, 1.0)
    assert 0.0 == count_seconds_above([], 10.0, 1.0)
