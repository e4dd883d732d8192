"""Errors of Quix, RocksDB and the Kafka client, as people and the loop see them."""

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
