"""What the joiner says of itself."""

import pytest

from joiner import health
from joiner.health import Health


@pytest.mark.parametrize(
    ("state", "alive"), [("starting", True), ("waiting", True), ("restoring", False), ("running", False)]
)
def test_a_loop_that_does_not_turn_is_not_alive(state: str, *, alive: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A joiner that waits for Kafka has no loop to turn; one that restores or runs has."""
    reported = Health()
    reported.enter(state)
    assert 200 == reported.respond("/livez")[0]
    monkeypatch.setattr(health, "STUCK_SECONDS", 0.0)
    status, report = reported.respond("/livez")
    assert (status, report["state"]) == ((200, state) if alive else (503, "stuck"))
    assert not reported.ready
