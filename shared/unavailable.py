"""The placeholder that Debezium writes for a large column that an UPDATE did not touch, in each form that it takes.

Debezium converts its option `unavailable.value.placeholder` to the type of the column: text, base64 or hexadecimal for
bytes, an array of one text, of its bytes or of a UUID made of it, and a map.
"""

import base64
import hashlib
import uuid
from typing import NamedTuple

UNAVAILABLE = "__debezium_unavailable_value"
"""The option's default; from stage 1 on it stands in place of every placeholder."""

HEX_PREFIX = "hex:"
"""After this, Debezium's option gives the placeholder's bytes in hexadecimal."""


class Placeholder(NamedTuple):
    """What stands for a value that was left out.

    Args:
        texts: as text.
        arrays: as an array, each element as text.
    """

    texts: frozenset[str]
    arrays: frozenset[tuple[str, ...]]

    def matches(self, value: object) -> bool:
        """Return whether an object or an array stands for a value that was left out."""
        if isinstance(value, dict) and len(value) == 1:
            (name, text), *_ = value.items()
            return name == text and text in self.texts
        if isinstance(value, list) and all(isinstance(each, str | int) for each in value):
            return tuple(map(str, value)) in self.arrays
        return False


def expand_placeholder(option: str) -> Placeholder:
    """Return the forms of a placeholder, and those of Debezium's own.

    Args:
        option: Debezium's option `unavailable.value.placeholder`.

    Raises:
        ValueError: what follows "hex:" is not hexadecimal.
    """
    texts: set[str] = set()
    arrays: set[tuple[str, ...]] = set()
    for each in (option, UNAVAILABLE):
        raw = bytes.fromhex(each.removeprefix(HEX_PREFIX)) if each.startswith(HEX_PREFIX) else each.encode()
        if not raw:
            raise ValueError("a placeholder has at least one byte")
        text = raw.decode(errors="replace")
        coded = base64.b64encode(raw).decode()
        digest = hashlib.md5(raw, usedforsecurity=False).digest()
        texts |= {text, coded, base64.urlsafe_b64encode(raw).decode(), raw.hex(), f'{{"{text}":"{text}"}}'}
        # Java's bytes are signed.
        numbers = tuple(str(byte - 256 if byte > 127 else byte) for byte in raw)
        arrays |= {(text,), (coded,), numbers, (str(uuid.UUID(bytes=digest, version=3)),)}
    return Placeholder(frozenset(texts), frozenset(arrays))


DEFAULT_PLACEHOLDER = expand_placeholder(UNAVAILABLE)
