"""What the poller says of PostgreSQL's refusals."""

from typing import Any

from shared.errors import UserInformationError


class DatabaseError(UserInformationError):
    """PostgreSQL cannot be reached, or is not what polling needs."""


def to_database_error(error: Any) -> DatabaseError:  # noqa: ANN401 - the client's class is the caller's
    """Return the client library's error as one with a hint."""
    return DatabaseError(
        f"PostgreSQL: {str(error).strip()}", "check that it works, POLLER_POSTGRES_DSN, and the user's rights"
    )
