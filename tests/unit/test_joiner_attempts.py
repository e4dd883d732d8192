"""How often the joiner begins again: as often as that may help, and no more."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, count, cycle
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from joiner import service
from joiner.attempts import FRUITLESS_ATTEMPTS
from joiner.background.progress import CommittedProgress
from joiner.context import Context
from joiner.core.avro import AvroDecoder
from joiner.health import Health
from joiner.metrics import Metrics
from joiner.settings import JoinerSettings
from shared.errors import (
    BadRow,
    Interrupted,
    KafkaError,
    Refused,
    RegistryAway,
    RegistryError,
    TopicError,
    UserInformationError,
)
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


class Attempt(NamedTuple):
    """How an attempt goes.

    Args:
        end: what ends it; None: it is told to stop.
        committed: partition of `likes` -> the next offset after what it has committed.
        read: partition of `likes` -> the last offset that it has read.
    """

    end: UserInformationError | None
    committed: dict[int, int] = {0: 0}  # noqa: RUF012 - never changed
    read: dict[int, int] = {}  # noqa: RUF012


def run(monkeypatch: pytest.MonkeyPatch, context: Context, attempts: Iterator[Attempt]) -> int:
    """Run attempts until one is told to stop; return how many there were. Each commits something somewhere."""
    number = 0

    def run_once(_: object, progress: CommittedProgress, *__: object) -> None:
        nonlocal number
        attempt = next(attempts)
        number += 1
        progress.commits += 1
        progress.assign({("likes", partition): offset for partition, offset in attempt.committed.items()})
        progress.note_read({("likes", partition): offset for partition, offset in attempt.read.items()})
        if attempt.end is not None:
            raise attempt.end

    monkeypatch.setattr("joiner.service._run_once", run_once)
    service._run_until_stopped(context)  # noqa: SLF001 - what comes before it takes locks and ports
    return number


def restarts(context: Context) -> float | None:
    """Return what the metric says."""
    return context.metrics.registry.get_sample_value("joiner_restarts_total")


def test_a_refusal_is_tried_a_second_time_only(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    """The second attempt knows what the topics allow; commits of other records in between change nothing."""
    attempts = [Attempt(TOO_LARGE, {0: 5, 1: 0}, {0: 9}), Attempt(TOO_LARGE, {0: 7, 1: 100}, {0: 8, 1: 120})]
    with pytest.raises(KafkaError, match="refuses what the joiner writes: too large") as ended:
        run(monkeypatch, context, iter(attempts))
    assert "set max.message.bytes" == ended.value.hint
    assert 1 == restarts(context)


def test_a_refusal_is_not_forgotten_over_other_errors(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    """Refusals and interruptions in turns come to an end as well, however much is committed besides."""
    refused, broken = Attempt(TOO_LARGE, {0: 5}, {0: 9}), Attempt(BROKEN_OFF, {0: 5, 1: 100}, {1: 99})
    with pytest.raises(KafkaError, match="too large"):
        run(monkeypatch, context, cycle([refused, broken, broken]))
    assert 3 == restarts(context)


def test_a_refusal_with_nothing_read_is_not_forgotten(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    """Which record it was about is not known, so no commit is known to be of it."""
    with pytest.raises(KafkaError, match="too large"):
        run(monkeypatch, context, cycle([Attempt(TOO_LARGE), Attempt(BROKEN_OFF, {0: 100}, {0: 99})]))
    assert 2 == restarts(context)


def test_a_refusal_that_is_mended_is_forgotten(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    """Once all that had been read is committed, what Kafka refuses later is a matter of its own."""
    attempts = [
        Attempt(TOO_LARGE, {0: 5}, {0: 9}),
        Attempt(BROKEN_OFF, {0: 10}, {0: 9}),
        Attempt(TOO_LARGE, {0: 10}, {0: 19}),
        Attempt(None),
    ]
    assert 4 == run(monkeypatch, context, iter(attempts))
    assert 3 == restarts(context)


def test_a_partition_that_is_stuck_ends_the_attempts(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    """Commits of other partitions do not hide it, nor do attempts that do not come to read it."""
    elsewhere = count(100, 100)

    def attempt(read: dict[int, int]) -> Attempt:
        done = next(elsewhere)
        return Attempt(BROKEN_OFF, {0: 5, 1: done}, {1: done + 9, **read})

    with pytest.raises(KafkaError, match=r"nothing of likes\[0\] from offset 5 on was committed in 5 attempts; look"):
        run(monkeypatch, context, (attempt({0: 9} if number % 3 else {}) for number in count()))
    assert 7 == restarts(context)


def test_attempts_that_come_further_never_end(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    """A Kafka that breaks off again and again is borne as long as records are committed."""
    attempts = (Attempt(BROKEN_OFF, {0: offset}, {0: offset + 500}) for offset in range(100))
    assert 101 == run(monkeypatch, context, chain(attempts, [Attempt(None)]))


def test_attempts_without_a_commit_end(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    """Whatever it was that each of them came to."""
    monkeypatch.setattr("joiner.service._run_once", fail)
    with pytest.raises(KafkaError, match="nothing was committed in 5 attempts"):
        service._run_until_stopped(context)  # noqa: SLF001 - as above
    assert FRUITLESS_ATTEMPTS - 1 == restarts(context)


def fail(*_: object) -> None:
    """Break off at once."""
    raise BROKEN_OFF


def test_a_topic_that_is_named_ends_the_first_attempt(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    """Nothing is left to find out."""
    with pytest.raises(TopicError):
        run(monkeypatch, context, iter([Attempt(NAMED)]))
    assert 0 == restarts(context)


@pytest.mark.parametrize("error", [BROKEN_OFF, TOO_LARGE])
def test_a_joiner_that_is_told_to_stop_does_not_begin_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Interrupted
) -> None:
    """Also where Kafka breaks it off in that very moment; without a signal it does."""
    handled: list[None] = []
    monkeypatch.setattr("joiner.service._end_on_signals", lambda: handled.append(None))
    settings, application = read_settings(JoinerSettings), JoinerThatFails(error)
    detector: Any = SimpleNamespace(longest_pause_seconds=0.0)
    with pytest.raises(Interrupted):
        service._join(application, detector, settings)  # type: ignore[arg-type]  # noqa: SLF001 - as above
    assert [None] == handled
    application.stop_requested = True
    service._join(application, detector, settings)  # type: ignore[arg-type]  # noqa: SLF001
    assert "stopped without committing the last records, which the next start reads again: Kafka" in caplog.text


class JoinerThatFails:
    """Takes the place of Quix's application.

    Args:
        error: what its loop ends with.
    """

    def __init__(self, error: Interrupted) -> None:
        self.stop_requested = False
        self._error = error

    def join(self) -> None:
        """Fail."""
        raise self._error


class Schemas:
    """A registry that answers as it is told to."""

    def __init__(self, *answers: UserInformationError | str) -> None:
        self.answers = list(answers)

    def find_schema(self, schema_id: int) -> str:
        """Return the next answer, or raise it."""
        assert 7 == schema_id
        answer = self.answers.pop(0)
        if isinstance(answer, str):
            return answer
        raise answer


AWAY = RegistryAway("the registry does not answer", "start it", 7)


@pytest.mark.parametrize("last", ['"long"', BadRow("unknown-schema", "it does not know it")])
def test_a_schema_is_waited_for_as_long_as_it_takes(
    monkeypatch: pytest.MonkeyPatch, context: Context, last: UserInformationError | str
) -> None:
    """Longer than Kafka may be away without progress; then the loop begins again, whatever the answer is."""
    schemas = Schemas(*[AWAY] * 3 * FRUITLESS_ATTEMPTS, last)
    attempts = chain([Attempt(AWAY)], [Attempt(None)])
    assert 2 == run(monkeypatch, replace(context, avro=AvroDecoder(schemas)), attempts)
    assert [] == schemas.answers
    assert 0 == restarts(context)
    assert "waiting" == context.health.respond("/readyz")[1]["state"]
    assert 0 == context.metrics.registry.get_sample_value("joiner_waits_for_schema")


def test_a_registry_that_refuses_ends_the_wait(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    """No time mends a wrong password."""
    schemas = Schemas(AWAY, RegistryError("it refuses the credentials", "check them"))
    with pytest.raises(RegistryError, match="it refuses the credentials"):
        run(monkeypatch, replace(context, avro=AvroDecoder(schemas)), chain([Attempt(AWAY)]))
