"""Figures of many durations: percentiles and the worst. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.results import percentile


@dataclass(frozen=True, slots=True)
class Durations:
    """A distribution, in milliseconds."""

    p50: float
    p95: float
    p99: float
    p999: float
    max: float

    def report(self) -> dict[str, float]:
        """Return it as JSON has it."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


def summarize_durations(milliseconds: Sequence[float]) -> Durations:
    """Return a distribution by the nearest-rank method; zeros where there is nothing.

    Args:
        milliseconds: in any order.
    """
    ordered = sorted(milliseconds) or [0.0]
    return Durations(*(percentile(ordered, percent) for percent in (50, 95, 99, 99.9, 100)))
