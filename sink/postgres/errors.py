"""What psycopg raises, as what the sink does about it."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from sink.errors import ForeignData, StoreFull, StoreUnavailable

FULL = ("53",)
"""Classes of PostgreSQL's error codes: insufficient resources, a full disk among them."""

CLOSED = ("08", "25", "40", "55", "57")
"""Others after which the same may succeed later: no connection, a standby, a conflict, a lock, a shutdown."""


@contextmanager
def translate_errors(name: str) -> Iterator[None]:
    """Raise what waiting may heal as such, and what a person must heal with what to do; DataError is let through.

    Args:
        name: what is written, as messages call it.
    """
    try:
        yield
    except psycopg.DataError:
        raise
    except psycopg.Error as error:
        code, reason = error.sqlstate or "", str(error).strip().replace("\n", "; ")
        if code.startswith(FULL):
            raise StoreFull(f"PostgreSQL has no room: {reason}", "make room; the sink goes on by itself") from error
        if code.startswith(CLOSED) or (not code and isinstance(error, psycopg.OperationalError)):
            raise StoreUnavailable(f"PostgreSQL does not take writes: {reason}") from error
        raise ForeignData(
            f"PostgreSQL refuses to write {name}: {reason}",
            "correct what it says, such as the role's rights or what depends on the table",
        ) from error
