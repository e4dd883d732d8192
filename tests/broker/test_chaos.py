"""A short chaos run of a fixed seed: faults of every kind, and every user right after each."""

from pathlib import Path

import pytest

from bench.chaos.cli import Chaos
from bench.chaos.faults import FAULTS
from stack.servers.kafka import Kafka

pytestmark = pytest.mark.broker


@pytest.mark.timeout(600)
def test_every_kind_of_fault_leaves_every_user_right(tmp_path: Path) -> None:
    """Joiners killed, paused, outnumbered, robbed of disk and broker, poisoned: no user ever differs."""
    with Kafka(tmp_path / "kafka") as kafka:
        report = Chaos(kafka, tmp_path, seed=1, rate=100, progress=print).run(faults=len(FAULTS), seconds=480)
    assert len(FAULTS) == report.faults
    assert 0 == report.differing
    assert report.compared > 0
    assert report.poison_written == report.dead_letters > 0
