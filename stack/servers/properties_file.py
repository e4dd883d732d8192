"""Java's properties files: names and values, written so that Java reads exactly these, and read as Java reads them.

Java takes the bytes for Latin-1, and gives blanks, backslashes and `=:#!` a meaning of their own. What is written here
is ASCII, whatever the names and values are. Knows no server.
"""

import re
from collections.abc import Mapping

SPECIAL = frozenset("\\=:#! ")

LINE_END = re.compile(r"\r\n|\n|\r")
LAST_BACKSLASHES = re.compile(r"(?<!\\)(?:\\\\)*\\\Z")
PROPERTY = re.compile(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)")
ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))")
CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
BLANKS = " \t\f"


def render_properties(properties: Mapping[str, str]) -> bytes:
    """Return a file from which Java reads these properties.

    Args:
        properties: name -> value, of any characters.
    """
    return "".join(f"{_escape(name)}={_escape(value)}\n" for name, value in properties.items()).encode("ascii")


def _escape(text: str) -> str:
    return "".join(map(_escape_character, text))


def _escape_character(character: str) -> str:
    if character in SPECIAL:
        return f"\\{character}"
    if character.isascii() and character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def parse_properties(file: bytes) -> dict[str, str]:
    """Return the properties that Java reads from a file; of a name that comes twice, the last value.

    Args:
        file: its bytes.
    """
    found = map(PROPERTY.fullmatch, _join_lines(file.decode("latin-1")))
    return {_unescape(line[1]): _unescape(line[2]) for line in found if line is not None}


def _join_lines(text: str) -> list[str]:
    """Return the lines that hold a property; one that ends in a backslash goes on in the next."""
    joined: list[str] = []
    continues = False
    for natural in LINE_END.split(text):
        line = natural.lstrip(BLANKS)
        before = joined.pop() if continues else ""
        if not before and (not line or line[0] in "#!"):
            continues = False
            continue
        continues = LAST_BACKSLASHES.search(line) is not None
        joined.append(before + (line[:-1] if continues else line))
    return joined


def _unescape(text: str) -> str:
    plain = ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else CONTROL.get(found[2], found[2]), text)
    # Java's characters are UTF-16's: two of them may be one of ours.
    return plain.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")
