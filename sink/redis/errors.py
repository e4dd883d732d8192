"""What Redis' client raises, as what the sink does about it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from sink.errors import ForeignData, StoreChanged, StoreFull, StoreUnavailable

FULL = re.compile(r"^(OOM|MISCONF)\b|command not allowed when used memory|EXECABORT")
"""No memory, or no disk to keep it on; nothing of the transaction was done."""

CLOSED = ("READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS", "BUSY", "TRYAGAIN")
"""What Redis says where the same may succeed later."""


@contextmanager
def translate_errors(name: str) -> Iterator[None]:
    """Raise what waiting may heal as such, and what a person must heal with what to do.

    Args:
        name: what is written, as messages call it.
    """
    try:
        yield
    except redis.WatchError as error:
        raise StoreChanged(f"{name} were changed by somebody else at this moment") from error
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        raise StoreUnavailable(f"Redis cannot be reached: {error}") from error
    except redis.ResponseError as error:
        reason = str(error)
        if isinstance(error, redis.exceptions.OutOfMemoryError) or FULL.search(reason):
            raise StoreFull(f"Redis has no room: {reason}", "make room; the sink goes on by itself") from error
        if reason.startswith(CLOSED):
            raise StoreUnavailable(f"Redis does not take writes: {reason}") from error
        raise ForeignData(f"Redis refuses to write {name}: {reason}", "correct what it says") from error
