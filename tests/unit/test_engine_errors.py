"""Errors of Quix, RocksDB and the Kafka client, as people and the loop see them."""

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from quixstreams.exceptions import QuixException
from quixstreams.kafka.exceptions import KafkaProducerDeliveryError
from quixstreams.state.exceptions import InvalidStoreChangelogOffset, StateRecoveryOffsetOutOfRange

from joiner.engine.errors import is_engine_error, translate_error, translate_read_error
from shared.errors import Interrupted, Refused, StateError, TopicError


def kafka(code: int, *, fatal: bool = False) -> KafkaException:
    """Return an error as the client raises it."""
    return KafkaException(KafkaError(code, "why", fatal=fatal))


@pytest.mark.parametrize(
    "error",
    [
        kafka(KafkaError._TRANSPORT),  # noqa: SLF001 - the client's public constants
        kafka(KafkaError._ALL_BROKERS_DOWN),  # noqa: SLF001
        kafka(KafkaError.COORDINATOR_LOAD_IN_PROGRESS),
        kafka(KafkaError.INVALID_TXN_STATE, fatal=True),
        KafkaProducerDeliveryError(KafkaError(KafkaError._MSG_TIMED_OUT, "why")),  # noqa: SLF001
        QuixException("why"),
        RuntimeError("Recovery stuck"),
    ],
)
def test_an_error_of_kafka_lets_the_loop_begin_again(error: Exception) -> None:
    """Work in progress is lost, committed work is not."""
    translated = translate_error(error)
    assert isinstance(translated, Interrupted)
    assert str(translated).startswith("Kafka broke off work in progress: ")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (kafka(KafkaError._FENCED, fatal=True), "another process has its JOINER_INSTANCE_ID"),  # noqa: SLF001
        (InvalidStoreChangelogOffset("why"), "delete the folder `state` in JOINER_STATE_DIR and start again"),
        (StateRecoveryOffsetOutOfRange("why"), "run `python -m joiner reset`"),
        (Exception("IO error: No space left on device"), "(IO error: No space left on device); make room on its disk"),
    ],
)
def test_an_error_that_no_retry_fixes_ends_the_joiner_with_a_hint(error: Exception, said: str) -> None:
    """Continuing would not be exact, or would fail in the same way."""
    translated = translate_error(error)
    assert isinstance(translated, StateError)
    assert said in str(translated)
    assert translated.hint


SENT = "ProduceRequest for user-info.v1 [3] with 1 message(s) failed: Broker: no (broker 1 PID{Id:2}, base seq 0)"
JOINING = 'Failed to add partition "user-info.v1" [3] to transaction: Broker: no'


@pytest.mark.parametrize("said", [SENT, JOINING])
@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, "set max.message.bytes=4456448 or more"),
        (KafkaError.INVALID_TIMESTAMP, "set message.timestamp.before.max.ms=9223372036854775807"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "rights that docs/operations.md lists"),
        (KafkaError.POLICY_VIOLATION, "the broker's log"),
        (KafkaError.INVALID_RECORD, "the broker's log"),
        (KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT, "the broker's log"),
    ],
)
def test_what_kafka_will_always_refuse_ends_the_joiner_with_the_topics_name(said: str, code: int, hint: str) -> None:
    """Beginning again would be refused again."""
    translated = translate_error(KafkaException(KafkaError(code, said)))
    assert isinstance(translated, TopicError)
    assert translated.what.startswith("the topic user-info.v1 refuses a record, and would again: ")
    assert hint in translated.hint


def test_a_refusal_without_a_topic_is_tried_once_more() -> None:
    """A record's own report names no topic; the next attempt looks at all of them."""
    report = KafkaProducerDeliveryError(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "too large"))
    assert isinstance(translate_error(report), Refused)


@pytest.mark.parametrize(("topic", "named"), [("likes", "the topic likes"), (None, "its topics")])
def test_what_may_not_be_read_ends_the_joiner_at_once(topic: str | None, named: str) -> None:
    """Rows of other topics would be committed meanwhile, attempt after attempt, and hide that nothing comes of it."""
    event: Any = SimpleNamespace(
        topic=lambda: topic, error=lambda: KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "denied")
    )
    translated = translate_read_error(event)
    assert isinstance(translated, TopicError)
    assert f"Kafka does not let the joiner read {named}: denied (TOPIC_AUTHORIZATION_FAILED)" == translated.what
    assert "give the joiner's user the rights that docs/operations.md lists; then start it again" == translated.hint


def test_an_outage_while_reading_is_waited_for() -> None:
    """The client reports it in place of a record."""
    event: Any = SimpleNamespace(topic=lambda: "likes", error=lambda: KafkaError(KafkaError._TRANSPORT, "down"))  # noqa: SLF001
    assert isinstance(translate_read_error(event), Interrupted)


def test_a_broker_that_lacks_replicas_for_now_is_waited_for() -> None:
    """They come back, as a broker does."""
    translated = translate_error(KafkaException(KafkaError(KafkaError.NOT_ENOUGH_REPLICAS, SENT)))
    assert isinstance(translated, Interrupted)
    assert not isinstance(translated, Refused)


def test_the_first_cause_counts() -> None:
    """An error that is raised while another one is handled does not hide why it all began."""
    reason = StateError("partitions were lost")
    on_the_way_out = kafka(KafkaError._STATE)  # noqa: SLF001
    on_the_way_out.__context__ = reason
    assert reason is translate_error(on_the_way_out)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (kafka(KafkaError._TRANSPORT), True),  # noqa: SLF001 - the client's public constant
        (QuixException("why"), True),
        (Exception("IO error: lock"), True),
        (TypeError("a mistake"), False),
        (KeyError("a mistake"), False),
    ],
)
def test_our_own_mistakes_are_not_errors_of_the_engine(error: Exception, *, expected: bool) -> None:
    """They end the process with their traceback; RocksDB's binding raises nothing but Exception itself."""
    assert expected is is_engine_error(error)
