"""Heartbeats that a joiner leaves to another one of its group; no Kafka is started."""

from typing import Any

import pytest

from joiner.background import heartbeats
from joiner.background.heartbeats import SILENT_SECONDS, HeartbeatRelay
from joiner.background.progress import CommittedProgress
from joiner.context import Context
from joiner.core.compatibility import StateInputs, TopicIdentity
from joiner.health import Health
from joiner.metrics import Metrics
from joiner.settings import JoinerSettings
from shared.settings import read_settings

WARNING = "set JOINER_WRITES_HEARTBEATS for all joiners of the group, or for none"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        """Return its time, seconds."""
        return self.now


class Beats:
    """Takes the place of Kafka's producer, and notes which topics are written to."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    def produce(self, topic: str, *_: object, **__: object) -> None:
        """Note a record."""
        self.topics.append(topic)


@pytest.mark.parametrize("owns", [True, False])
def test_a_joiner_whose_writer_is_silent_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, owns: bool
) -> None:
    """The owner of the first partition writes for all; where that one is not told to, nothing else would say so."""
    clock, written = Clock(), Beats()
    monkeypatch.setattr(heartbeats, "time", clock)
    monkeypatch.setenv("HEARTBEATS_TOPIC", "beats")
    monkeypatch.setenv("JOINER_WRITES_HEARTBEATS", "true")
    settings = read_settings(JoinerSettings)
    nothing: Any = None
    topics = {name: TopicIdentity("id", 1) for name in (*settings.sources, "user-info-changes", "user-info")}
    progress = CommittedProgress()
    if owns:
        progress.assign({("user-info-changes", 0): 0})
    context = Context(settings, {}, nothing, Health(), Metrics())
    relay = HeartbeatRelay(context, "beats", StateInputs(topics), progress)
    producer: Any = written
    relay._write_own_heartbeat(producer)  # noqa: SLF001 - its thread would need a Kafka
    assert WARNING not in caplog.text
    clock.now += SILENT_SECONDS + 1
    relay._write_own_heartbeat(producer)  # noqa: SLF001
    assert owns is (WARNING not in caplog.text)
    assert (["beats", "beats"] if owns else []) == written.topics
