"""When a producer needs a new epoch, and that it gets one before anything else is sent."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from quixstreams.internal_producer import InternalProducer

from joiner.core.epochs import RESEND_SECONDS, SILENT_SECONDS, EpochGuard
from joiner.engine import epochs
from joiner.engine.epochs import EpochKeeper
from joiner.engine.quix_internals import replace_client
from joiner.kafka.config import producer_config
from joiner.metrics import Metrics
from joiner.settings import JoinerSettings
from shared.settings import read_settings


def end(guard: EpochGuard, at: float, takes: float = 0.0) -> bool:
    """Have a transaction end without an error, and return whether the next one needs a new epoch."""
    guard.begin_end(at)
    guard.finish_end(at + takes)
    return guard.needs_epoch


def test_an_end_that_nothing_disturbs_needs_no_new_epoch() -> None:
    """However long it takes: a slow broker has answered the one request that was sent."""
    guard = EpochGuard()
    assert not end(guard, 100.0)
    assert not end(guard, 101.0, takes=20.0)


def test_an_error_during_an_end_needs_a_new_epoch_until_there_is_one() -> None:
    """The client may have sent the end again when the connection was back."""
    guard = EpochGuard()
    guard.begin_end(100.0)
    guard.note_error(100.1)
    guard.finish_end(100.3)
    assert guard.needs_epoch
    guard.renew()
    assert not end(guard, 101.0, takes=1.0)


def test_an_end_that_fails_needs_a_new_epoch() -> None:
    """Whatever Quix tries next: it was given up while a request was on its way."""
    guard = EpochGuard()
    guard.begin_end(100.0)
    guard.note_failure()
    guard.finish_end(100.0)
    assert guard.needs_epoch


def test_an_error_between_two_ends_needs_no_new_epoch() -> None:
    """The end before it was answered, and the one behind it was not disturbed."""
    guard = EpochGuard()
    end(guard, 100.0)
    guard.note_error(100.5)
    assert not end(guard, 101.0, takes=RESEND_SECONDS / 2)


@pytest.mark.parametrize(
    ("after", "takes", "needed"),
    [
        (1.0, RESEND_SECONDS * 2, True),
        (1.0, RESEND_SECONDS / 2, False),
        (SILENT_SECONDS - 1, 0.5, True),
        (SILENT_SECONDS + 1, 0.5, False),
    ],
)
def test_an_error_that_the_client_keeps_to_itself_is_assumed(after: float, takes: float, *, needed: bool) -> None:
    """It reports one like the last only after a while; until then, an end that could have been sent twice counts."""
    guard = EpochGuard()
    guard.note_error(100.0)
    assert needed == end(guard, 100.0 + after, takes)


def test_the_client_is_told_to_report_what_is_decided_by() -> None:
    """Whatever the environment says: closed connections are errors, and nothing is sent again too soon to notice."""
    wanted = {"log.connection.close": "false", "retry.backoff.ms": "1"}
    given = producer_config(read_settings(JoinerSettings), wanted)
    assert (True, 100) == (given["log.connection.close"], given["retry.backoff.ms"])
    assert RESEND_SECONDS < 0.8 * 100 / 1000


class Client:
    """Takes the place of Kafka's client, and notes what it is asked."""

    def __init__(self, name: str, asked: list[str]) -> None:
        self._name = name
        self._asked = asked
        self.fails = 0
        self.on_poll: Callable[[], None] = lambda: None

    def init_transactions(self, _: float = -1) -> None:
        """Get an epoch."""
        self._asked.append(f"{self._name} init")

    def begin_transaction(self) -> None:
        """Begin."""
        self._asked.append(f"{self._name} begin")

    def commit_transaction(self, _: float) -> None:
        """Commit, or fail as often as is wanted."""
        self._asked.append(f"{self._name} commit")
        if self.fails:
            self.fails -= 1
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, retriable=True))  # noqa: SLF001 - public there

    def poll(self, timeout: float = 0) -> None:  # noqa: ARG002 - the client's name for it
        """Report what there is."""
        self.on_poll()


@pytest.fixture
def asked() -> list[str]:
    """Give what clients are asked, in order."""
    return []


@pytest.fixture
def first(asked: list[str]) -> Any:  # noqa: ANN401 - takes the place of Kafka's client
    """Give the client that Quix's producer begins with."""
    return Client("first", asked)


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch, asked: list[str], first: Any) -> InternalProducer:  # noqa: ANN401
    """Give Quix's producer, watched; its next client is another one."""
    made = InternalProducer("127.0.0.1:1", {"transactional.id": "joiner-0"}, transactional=True)
    replace_client(made, first)
    monkeypatch.setattr(epochs, "open_client", lambda _: Client("second", asked))
    monkeypatch.setattr("quixstreams.internal_producer._ABORT_RETRY_BACKOFF", 0.0)
    return made


def commit_twice(producer: Any) -> float | None:  # noqa: ANN401 - Quix does not say what its methods return
    """Commit two transactions, begin a third, and return how often there was a new epoch."""
    metrics, nothing = Metrics(), None
    EpochKeeper(producer, metrics)
    for _ in range(2):
        producer.begin_transaction()
        producer.commit_transaction([], nothing)
    producer.begin_transaction()
    return metrics.registry.get_sample_value("joiner_new_epochs_total")


def test_transactions_go_on_with_one_client(producer: InternalProducer, asked: list[str]) -> None:
    """As long as nothing is uncertain."""
    assert 0 == commit_twice(producer)
    assert ["first begin", "first commit", "first begin", "first commit", "first begin"] == asked


def test_a_commit_that_is_tried_again_is_followed_by_a_new_epoch(
    producer: InternalProducer,
    first: Any,  # noqa: ANN401
    asked: list[str],
) -> None:
    """Though it succeeds in the end; the new client has its epoch before it begins anything."""
    first.fails = 1
    assert 1 == commit_twice(producer)
    assert ["first begin", "first commit", "first commit", "second init", "second begin"] == asked[:5]
    assert ["second commit", "second begin"] == asked[5:]


def test_an_error_that_is_reported_during_a_commit_is_followed_by_a_new_epoch(
    producer: InternalProducer,
    first: Any,  # noqa: ANN401
    asked: list[str],
) -> None:
    """The commit itself knows nothing of it."""
    report = producer._producer._producer_config["error_cb"]  # noqa: SLF001 - what the client would call

    def disconnect_once() -> None:
        if asked == ["first begin", "first commit"]:
            report(KafkaError(KafkaError._TRANSPORT, "Disconnected"))  # noqa: SLF001 - public there

    first.on_poll = disconnect_once
    assert 1 == commit_twice(producer)
    assert ["first begin", "first commit", "second init", "second begin"] == asked[:4]
