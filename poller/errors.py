"""What the poller says where PostgreSQL or its own file refuses."""

from typing import Any

from shared.errors import StateError, UserInformationError


class DatabaseError(UserInformationError):
    """PostgreSQL cannot be reached, or is not what polling needs."""


def to_database_error(error: Any) -> DatabaseError:  # noqa: ANN401 - the client's class is the caller's
    """Return the client library's error as one with a hint."""
    return DatabaseError(
        f"PostgreSQL: {str(error).strip()}", "check that it works, POLLER_POSTGRES_DSN, and the user's rights"
    )


def to_state_error(error: Any) -> StateError:  # noqa: ANN401 - as above
    """Return SQLite's error as one with a hint."""
    return StateError(
        f"POLLER_STATE_DIR cannot be written: {error}",
        "make room or correct its rights, and start again; nothing is lost, what was not noted is sent again",
    )
