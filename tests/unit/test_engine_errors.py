"""Errors of the engine and of the client, as people and the loop are told of them."""

import pytest
from confluent_kafka import KafkaError, KafkaException
from quixstreams.exceptions import QuixException
from quixstreams.kafka.exceptions import KafkaProducerDeliveryError
from quixstreams.state.exceptions import InvalidStoreChangelogOffset, StateRecoveryOffsetOutOfRange

from joiner.engine.errors import is_engine_error, translate_error
from shared.errors import Interrupted, StateError


def kafka(code: int, *, fatal: bool = False) -> KafkaException:
    """Return an error as the client raises it."""
    return KafkaException(KafkaError(code, "why", fatal=fatal))


@pytest.mark.parametrize(
    "error",
    [
        kafka(KafkaError._TRANSPORT),  # noqa: SLF001 - the client's public constants
        kafka(KafkaError._ALL_BROKERS_DOWN),  # noqa: SLF001
        kafka(KafkaError.COORDINATOR_LOAD_IN_PROGRESS),
        KafkaProducerDeliveryError(KafkaError(KafkaError._MSG_TIMED_OUT, "why")),  # noqa: SLF001
        QuixException("why"),
        RuntimeError("Recovery stuck"),
    ],
)
def test_what_kafka_broke_off_is_begun_again(error: Exception) -> None:
    """Whatever was under way is lost, what was committed is not."""
    told = translate_error(error)
    assert isinstance(told, Interrupted)
    assert str(told).startswith("Kafka broke off what was under way: ")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (kafka(KafkaError._FENCED, fatal=True), "another process has its JOINER_INSTANCE_ID"),  # noqa: SLF001
        (InvalidStoreChangelogOffset("why"), "delete the folder `state` in JOINER_STATE_DIR and start again"),
        (StateRecoveryOffsetOutOfRange("why"), "run `python -m joiner reset`"),
        (Exception("IO error: No space left on device"), "(IO error: No space left on device); make room on its disk"),
    ],
)
def test_what_no_retry_mends_ends_it_and_says_what_to_do(error: Exception, said: str) -> None:
    """Going on would not be exact, or would fail in the same way."""
    told = translate_error(error)
    assert isinstance(told, StateError)
    assert said in str(told)


def test_what_was_said_first_counts() -> None:
    """An error met while another was being handled does not hide why it all began."""
    reason = StateError("partitions were lost")
    on_the_way_out = kafka(KafkaError._STATE)  # noqa: SLF001
    on_the_way_out.__context__ = reason
    assert translate_error(on_the_way_out) is reason


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
def test_our_own_mistakes_are_not_taken_for_a_fault_of_the_parts(error: Exception, *, expected: bool) -> None:
    """They end the process with their traceback; RocksDB's binding raises nothing but the root of all exceptions."""
    assert is_engine_error(error) is expected
