"""The measurements' own error, in the tree of shared.errors."""

from shared.errors import UserInformationError


class MeasurementError(UserInformationError):
    """A measurement that did not finish, or whose outcome is not the truth: its figures mean nothing."""
