"""Opens TOML, and explains what is no TOML by the line that is wrong."""

import re
import tomllib
from typing import Any

from shared.errors import ViewError

_TWICE = re.compile(r"Cannot overwrite|Cannot declare|Duplicate")

_HINTS = {
    "Invalid value": 'write text between quotation marks, and true and false in small letters, as in key = "text"',
    "Invalid initial character": "write what is between { and } in one line, without a comma at its end",
    "Unclosed inline table": "write what is between { and } in one line, without a comma at its end",
    "Expected '='": 'write key = "text", or [section]',
    "Invalid statement": 'write key = "text", or [section]; a key with other letters than A to Z needs quotation marks',
}
"""How the parser's message begins -> what to do."""


def load_document(text: str, name: str) -> dict[str, Any]:
    """Return a TOML document.

    Args:
        text: the document.
        name: what messages call it.

    Raises:
        ViewError: it is not TOML, or says something twice.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _explain(text, name, str(error)) from None


def _explain(text: str, name: str, message: str) -> ViewError:
    what, _, where = message.partition(" (at ")
    found = re.match(r"line (\d+)", where)
    lines = text.splitlines() or [""]
    number = int(found[1]) if found else len(lines)
    place = f"{name}, line {number}"
    if _TWICE.match(what):
        twice = _name_key(lines[:number], re.search(r"key '(.+)'", what))
        return ViewError(f"{place}: {twice} is there twice", "keep one of them, or give each its own name")
    hint = next((hint for begin, hint in _HINTS.items() if what.startswith(begin)), "correct the line")
    problem = what[:1].lower() + what[1:].partition(":")[0]
    return ViewError(f"{place}: is not TOML: {problem}", hint)


def _name_key(lines: list[str], named: re.Match[str] | None) -> str:
    """Return the section and the key that the last line declares; its key alone, if the message named it."""
    last = lines[-1].strip()
    if last.startswith("["):
        return last
    key = named[1] if named else last.partition("=")[0].strip()
    section = next((line.strip() for line in reversed(lines) if line.startswith("[")), "")
    return f"{section} {key}".strip()
