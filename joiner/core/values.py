"""Reads what a JSON document holds: numbers with all their digits, ids, text.

Guarantees: what is never read cannot spoil a document. Half an emoji, NaN, or a byte that is not UTF-8 counts only in
a column that is read. Pure, and knows neither rows nor tables.
"""

import base64
import json
import re
from typing import Any

import orjson

from shared.errors import BadRow
from shared.records import MAX_ID_BYTES

AVRO_FIRST = b"\0"
"""What Avro begins with in Confluent's wire format, and neither JSON nor text does."""

SENDING_DECIMALS = "set decimal.handling.mode=string, or let the converter write schemas"
"""What to do where bytes stand for a decimal, and nothing says so."""

MAX_NUMBER_CHARACTERS = 12
"""No id that is a number has more in base64."""

MAX_WORDLESS_BYTES = 3
"""Numbers with more seldom look like words; ids such as VXNlcjoxMA==, which is User:10, do."""


class Literal(str):
    """A JSON number as it was written: no digit is lost, however long it is."""

    __slots__ = ()


class DecimalText(Literal):
    """A decimal as a schema's scale gives it, such as 100.00: an id where only zeros follow the point."""

    __slots__ = ()


class EncodedBytes(str):
    """Bytes in base64, as a schema says: text for a profile, and no id."""

    __slots__ = ()


class NotJson:
    """In place of a value that JSON cannot hold: it is refused only where it is read.

    Args:
        what: what the document holds there.
    """

    __slots__ = ("what",)

    def __init__(self, what: str) -> None:
        self.what = what


class NeedsLiteralsError(Exception):
    """A float may have rounded a number that matters: the document is read again, keeping the digits."""


def load_json(text: bytes) -> Any:  # noqa: ANN401 - JSON may be anything
    """Return a JSON document.

    Raises:
        ValueError, RecursionError: it is not JSON, or nested too deep.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        # A document that holds a number beyond any float, or unreadable text, may still hold what is needed.
        return load_json_exactly(text)


def load_json_exactly(text: bytes) -> Any:  # noqa: ANN401 - JSON may be anything
    """Return a JSON document with its numbers as Literals, and NotJson in place of what cannot be read.

    Raises:
        ValueError, RecursionError: it is not JSON, or nested too deep.
    """
    # Bytes that are not UTF-8 become halves of surrogate pairs, which are looked for in each object's values.
    return json.loads(
        text.decode(errors="surrogateescape"),
        parse_int=_to_literal,
        parse_float=Literal,
        parse_constant=NotJson,
        object_pairs_hook=_mark_unreadable,
    )


def _mark_unreadable(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {
        name: NotJson("text that UTF-8 cannot hold, such as half an emoji") if is_unreadable(value) else value
        for name, value in pairs
    }


def is_unreadable(value: object) -> bool:
    """Return whether a value is text with half a surrogate pair, which UTF-8 cannot hold."""
    return isinstance(value, str) and re.search("[\ud800-\udfff]", value) is not None


def _to_literal(digits: str) -> Literal:
    return Literal("0" if digits == "-0" else digits)  # as orjson has it


def parse_id(value: object, where: str) -> str:
    """Return an id as text, exactly as written; a fraction, a boolean or an empty text is not an id.

    Args:
        value: what a document holds.
        where: the column or "the key", for messages.

    Raises:
        BadRow: the value is no id.
        NeedsLiteralsError: the digits are needed to decide.
    """
    kind = type(value)
    if kind is str or kind is int:
        text = str(value)
    elif kind is float:
        raise NeedsLiteralsError
    elif isinstance(value, Literal) and (whole := _INTEGER[kind is DecimalText].fullmatch(value)):
        text = str(whole[1])
    elif value is None:
        raise BadRow("null-id", f"{where} is null")
    else:
        raise BadRow("bad-id", f"{where} is neither text nor an integer{explain(value)}")
    if not text or len(text if text.isascii() else text.encode()) > MAX_ID_BYTES:
        raise BadRow("bad-id", f"{where} is not 1 to {MAX_ID_BYTES} bytes long in UTF-8")
    return text


_INTEGER = (re.compile(r"(-?[0-9]+)"), re.compile(r"(-?[0-9]+)(?:\.0*)?"))
"""What is an integer: a number as it was written, and one whose scale its schema gives."""


def explain(value: object) -> str:
    """Return what is to be done about a value that is not what it should be, where that can be told."""
    if isinstance(value, NotJson):
        return f", but {value.what}"
    if isinstance(value, EncodedBytes):
        return ", but bytes"
    if isinstance(value, dict) and value.keys() == {"scale", "value"}:
        return f", but a number as Debezium encodes it where its column has no scale: {SENDING_DECIMALS}"
    return ""


def refuse_encoded_number(value: object) -> None:
    """Refuse base64 of a number's bytes, as Debezium writes `numeric`; without a schema its end alone tells.

    Args:
        value: the id that a key holds.

    Raises:
        BadRow: it is that, and not base64 of a word either.
    """
    if type(value) is not str or value[-1:] != "=" or len(value) > MAX_NUMBER_CHARACTERS:
        return
    try:
        raw = base64.b64decode(value, validate=True)
    except ValueError:
        return
    number = int.from_bytes(raw, "big", signed=True)
    size = (~number if number < 0 else number).bit_length() // 8 + 1
    is_word = len(raw) > MAX_WORDLESS_BYTES and raw.isascii() and raw.decode().isprintable()
    if not is_word and base64.b64encode(number.to_bytes(size, "big", signed=True)).decode() == value:
        raise BadRow(
            "bad-id",
            f"the key says {value!r}, as Debezium writes the number {number}: {SENDING_DECIMALS}",
        )


def to_text(value: object, column: str) -> str | None:
    """Return a profile field as text: a number or a boolean becomes its JSON text.

    Raises:
        BadRow: the value is an object, an array, or nothing that JSON can hold.
        NeedsLiteralsError: the digits are needed.
    """
    if value is None or type(value) is str:
        return value
    if type(value) is float:
        raise NeedsLiteralsError
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | str):
        return str(value)
    refuse_unreadable(value, column)
    raise BadRow("not-text", f"the column {column} holds an object or an array{explain(value)}")


def refuse_unreadable(value: object, column: str) -> None:
    """Refuse what JSON cannot hold.

    Raises:
        BadRow: the value is such.
    """
    if isinstance(value, NotJson):
        raise BadRow("bad-json", f"the value is not JSON: the column {column} holds {value.what}")
