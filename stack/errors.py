"""The local stack's own error, in the tree of shared.errors."""

import psycopg

from shared.errors import UserInformationError


class StackError(UserInformationError):
    """The local stack could not do what was asked; carries the last lines of the log concerned."""


def to_stack_error(error: psycopg.OperationalError) -> StackError:
    """Return what PostgreSQL's client says as an error with a hint."""
    return StackError(f"PostgreSQL: {' '.join(str(error).split())}", "see whether it runs: python -m stack status")
