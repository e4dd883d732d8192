"""Translates errors of Quix, the Kafka client and RocksDB into ours: begin again from the last commit, or end."""

import re

from confluent_kafka import KafkaError, KafkaException, Message
from quixstreams.exceptions import QuixException
from quixstreams.kafka.exceptions import KafkaProducerDeliveryError
from quixstreams.state.exceptions import InvalidStoreChangelogOffset, StateRecoveryOffsetOutOfRange
from quixstreams.state.rocksdb.exceptions import RocksDBCorruptedError

from joiner.core.compatibility import RESET
from joiner.kafka.refusals import REFUSALS, describe, read_refusal_of, refusal_of
from shared.errors import Interrupted, Refused, StateError, UserInformationError

REFUSED_TOPIC = re.compile(r'(?:ProduceRequest for |Failed to add partition ")([\w.-]+)"? \[\d+\]')
"""How the client says, in the error of a transaction, what it was about."""


def is_engine_error(error: BaseException) -> bool:
    """Return whether an error is Quix's, the Kafka client's or RocksDB's, and not a mistake of ours."""
    return isinstance(error, QuixException | KafkaException | RuntimeError) or _is_rocksdb_error(error)


def _is_rocksdb_error(error: BaseException) -> bool:
    """Return whether RocksDB's binding raised it: it raises Exception itself, which nothing else does."""
    return type(error) is Exception


def translate_error(error: BaseException) -> UserInformationError:
    """Return an error as one of ours: the first in its chain that says more than that Kafka broke something off.

    Args:
        error: as raised; its causes and contexts are read, too.
    """
    cause: BaseException | None = error
    while cause is not None:
        translated = _translate(cause)
        if translated is not None:
            return translated
        cause = cause.__cause__ or cause.__context__
    reason = error.args[0].str() if isinstance(error, KafkaException) else error
    return Interrupted(f"Kafka broke off work in progress: {reason}")


def translate_read_error(event: Message) -> UserInformationError:
    """Return what Kafka's client reports in place of a record as one of our errors.

    Args:
        event: a message that has an error.
    """
    reason = event.error()
    if reason.name() in REFUSALS:
        return read_refusal_of(event.topic(), reason)
    return translate_error(KafkaException(reason))


def _translate(error: BaseException) -> UserInformationError | None:
    """Return one error of a chain as ours; None where it says only that something was broken off."""
    if isinstance(error, UserInformationError):
        return error
    return _translate_kafka(error) or _translate_state(error)


def _translate_kafka(error: BaseException) -> UserInformationError | None:
    if isinstance(error, KafkaProducerDeliveryError):
        reason = error.error
    elif isinstance(error, KafkaException):
        reason = error.args[0]
    else:
        return None
    # Not what a fenced producer is told: a transaction that was refused or lost was ended twice. A new producer helps.
    if reason.fatal() and reason.name() != "INVALID_TXN_STATE":
        return StateError(
            f"Kafka has shut this joiner out ({reason.str()}): another process has its JOINER_INSTANCE_ID, or it"
            " was paused for too long; it ends without committing",
            hint="start it again",
        )
    return _refusal(reason) if reason.name() in REFUSALS else None


def _translate_state(error: BaseException) -> UserInformationError | None:
    if isinstance(error, InvalidStoreChangelogOffset | RocksDBCorruptedError):
        return StateError(
            f"the local state cannot be used ({error})",
            hint="delete the folder `state` in JOINER_STATE_DIR and start again: it is restored from Kafka",
        )
    if _is_rocksdb_error(error):
        return StateError(
            f"the local state in JOINER_STATE_DIR cannot be opened or written ({error})",
            hint="make room on its disk, or end the process that has it open, and start again: nothing is lost",
        )
    if isinstance(error, StateRecoveryOffsetOutOfRange):
        return StateError(str(error), hint=RESET)
    return None


def _refusal(reason: KafkaError) -> UserInformationError:
    """Return what Kafka refuses, whatever the number of attempts: with its topic where the client says it."""
    topic = REFUSED_TOPIC.search(reason.str())
    if topic is None:
        return Refused(f"Kafka refuses what the joiner writes: {describe(reason)}", REFUSALS[reason.name()])
    return refusal_of(topic[1], reason)
