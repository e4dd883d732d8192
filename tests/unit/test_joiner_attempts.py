"""How often the joiner begins again: as often as that may help, and no more."""

from typing import Any

import pytest

from joiner import service
from joiner.context import Context
from joiner.health import Health
from joiner.metrics import Metrics
from joiner.settings import JoinerSettings
from shared.errors import Interrupted, KafkaError, Refused, TopicError, UserInformationError
from shared.settings import read_settings

TOO_LARGE = Refused("Kafka refuses what the joiner writes: too large", "set max.message.bytes")
BROKEN_OFF = Interrupted("Kafka broke off work in progress")
NAMED = TopicError("the topic user-info refuses a record, and would again: too old", "set it")


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Context:
    """Give a joiner without Kafka, and without the pauses between its attempts."""
    nothing: Any = None
    monkeypatch.setattr("joiner.service.time.sleep", lambda _: None)
    monkeypatch.setattr("joiner.service._end_on_signals", lambda: None)
    return Context(read_settings(JoinerSettings), {}, nothing, Health(), Metrics())


def run(monkeypatch: pytest.MonkeyPatch, context: Context, *ends: UserInformationError | None) -> int:
    """Run attempts that end so, each having committed something; return how many there were, None being a stop."""
    left = list(ends)

    def run_once(_: object, progress: Any, *__: object) -> None:  # noqa: ANN401 - a private function of the module
        progress.commits += 1
        end = left.pop(0)
        if end is not None:
            raise end

    monkeypatch.setattr("joiner.service._run_once", run_once)
    service._run_until_stopped(context)  # noqa: SLF001 - what comes before it takes locks and ports
    return len(ends) - len(left)


def restarts(context: Context) -> float | None:
    """Return what the metric says."""
    return context.metrics.registry.get_sample_value("joiner_restarts_total")


def test_a_refusal_is_tried_a_second_time_only(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    """The second attempt knows what the topics allow; commits of other records in between change nothing."""
    with pytest.raises(KafkaError, match="refuses what the joiner writes: too large") as ended:
        run(monkeypatch, context, TOO_LARGE, TOO_LARGE, None)
    assert "set max.message.bytes" == ended.value.hint
    assert 1 == restarts(context)


def test_a_refusal_that_is_mended_is_forgotten(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    """What Kafka breaks off later is a matter of its own."""
    assert 4 == run(monkeypatch, context, TOO_LARGE, BROKEN_OFF, TOO_LARGE, None)
    assert 3 == restarts(context)


def test_a_topic_that_is_named_ends_the_first_attempt(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    """Nothing is left to find out."""
    with pytest.raises(TopicError):
        run(monkeypatch, context, NAMED, None)
    assert 0 == restarts(context)
