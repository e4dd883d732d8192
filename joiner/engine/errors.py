"""Errors of the engine and of the Kafka client, told as ours: go on from the last commit, or end and say what to do."""

from confluent_kafka import KafkaException
from quixstreams.exceptions import QuixException
from quixstreams.state.exceptions import InvalidStoreChangelogOffset, StateRecoveryOffsetOutOfRange
from quixstreams.state.rocksdb.exceptions import RocksDBCorruptedError

from joiner.core.compatibility import RESET
from shared.errors import Interrupted, StateError, UserInformationError


def is_engine_error(error: BaseException) -> bool:
    """Tell whether an error is the engine's, the Kafka client's or RocksDB's, and not a mistake of ours."""
    return isinstance(error, QuixException | KafkaException | RuntimeError) or _is_of_rocksdb(error)


def _is_of_rocksdb(error: BaseException) -> bool:
    """Tell whether RocksDB's binding raised it, which knows no class but the root of all."""
    return type(error) is Exception


def translate_error(error: BaseException) -> UserInformationError:
    """Return an error as one of ours: the first in its chain that says more than that Kafka broke something off.

    Args:
        error: as raised; what it was raised for, or while handling what, is looked at too.
    """
    cause: BaseException | None = error
    while cause is not None:
        told = _told(cause)
        if told is not None:
            return told
        cause = cause.__cause__ or cause.__context__
    said = error.args[0].str() if isinstance(error, KafkaException) else error
    return Interrupted(f"Kafka broke off what was under way: {said}")


def _told(error: BaseException) -> UserInformationError | None:
    if isinstance(error, UserInformationError):
        return error
    if isinstance(error, KafkaException) and error.args[0].fatal():
        return StateError(
            f"Kafka has shut this joiner out ({error.args[0].str()}): another process has its JOINER_INSTANCE_ID, or it"
            " was paused for too long; it ends without committing, start it again"
        )
    if isinstance(error, InvalidStoreChangelogOffset | RocksDBCorruptedError):
        return StateError(
            f"the local state cannot be used ({error}); delete the folder `state` in JOINER_STATE_DIR and start again:"
            " it is restored from Kafka"
        )
    if _is_of_rocksdb(error):
        return StateError(
            f"the local state in JOINER_STATE_DIR cannot be opened or written ({error}); make room on its disk, or end"
            " the process that has it open, and start again: nothing is lost"
        )
    if isinstance(error, StateRecoveryOffsetOutOfRange):
        return StateError(f"{error}: {RESET}")
    return None
