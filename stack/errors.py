"""The local stack's own error, in the tree of shared.errors."""

from shared.errors import UserInformationError


class StackError(UserInformationError):
    """The local stack could not do what was asked; carries the last lines of the log concerned."""
