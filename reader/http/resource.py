"""What the records are served as: the first segment of their paths, and the words that follow from it. Pure."""

from dataclasses import dataclass
from functools import cached_property

from reader.http import problems
from reader.http.response import Response


@dataclass(frozen=True)
class Resource:
    """The one resource of a reader.

    Args:
        name: the first segment of its paths, such as `users`: lower-case letters, digits, hyphens.
    """

    name: str

    @property
    def path(self) -> str:
        """The path of all of it; a record's has its id behind it."""
        return f"/{self.name}"

    @property
    def noun(self) -> str:
        """What one of it is called; of a name that is not our own no singular is made up."""
        return "user" if self == USERS else "record"

    @cached_property
    def unknown(self) -> Response:
        """The 404 for an id that no record has."""
        return problems.unknown_user(self.noun)


USERS = Resource("users")
"""Unless the settings name another."""
