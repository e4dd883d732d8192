"""A part of a view's file that knows where it stands, so that whatever is refused in it is refused with its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from shared.errors import ViewError


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the file: a section, or what stands behind a key of one.

    Args:
        place: where it is, such as ``view.toml: [counts] tweetCount``.
        content: key -> value, as tomllib reads it.
    """

    place: str
    content: Mapping[str, Any]

    def refuse(self, key: str, what: str, hint: str) -> ViewError:
        """Return the error about a key.

        Args:
            key: of this table; empty: the table itself.
            what: what is wrong with it.
            hint: what to write instead.
        """
        return ViewError(f"{self._locate(key) if key else self.place}: {what}", hint)

    def _locate(self, key: str) -> str:
        return f"{self.place}{' ' if self.place.endswith(']') else '.'}{key}"

    def open(self, key: str, example: str) -> "Section":
        """Return the table behind a key.

        Args:
            key: the key.
            example: such a table, for the message about a key that has none.
        """
        value = self.content[key]
        if not isinstance(value, dict):
            raise self.refuse(key, f"is {describe(value)}", f"write a table, such as {{ {example} }}")
        return Section(self._locate(key), value)

    def check_words(self, known: Sequence[str]) -> None:
        """Refuse a key that is none of the known ones, and name the nearest."""
        for word in self.content:
            if word not in known:
                raise self.refuse(word, "is not known", suggest(word, known))

    def read_text(self, key: str, example: str) -> str:
        """Return the text behind a key, which must be there and must not be empty.

        Args:
            key: the key.
            example: such a text, for the messages.
        """
        value = self.content.get(key)
        if key not in self.content:
            raise self.refuse(key, "is missing", f'write {key} = "{example}"')
        if not isinstance(value, str) or not value:
            raise self.refuse(key, f"is {describe(value)}", f'write a name, such as {key} = "{example}"')
        return value


def suggest(word: str, known: Sequence[str]) -> str:
    """Return what to write in place of an unknown word: the nearest known one, and all of them."""
    nearest = get_close_matches(word.lower(), known, 1)
    if len([each for each in known if each.startswith(word)]) > 1:
        nearest = []  # It may be any of them.
    return f"{f'write {nearest[0]}; ' if nearest else ''}known are {', '.join(known)}"


def describe(value: object) -> str:
    """Return a value for a message, as the file has it."""
    if isinstance(value, str):
        return f'"{value:.60}"' if value else "an empty text"
    if isinstance(value, bool):
        return "true" if value else "false"
    kinds = {dict: "a table", list: "a list", int: "an integer", float: "a fraction"}
    return kinds.get(type(value), "a date or a time")
