"""What a record's bytes say, key by key, each value as the text that stands there. Pure.

A value is never read as a number and written again: sums are of any size, and JSON is passed on as it is.
"""

import json
from collections.abc import Mapping

_BLANK = " \t\n\r"
_scan = json.JSONDecoder().raw_decode


def check_id(id_key: str, key: bytes, value: bytes) -> str | None:
    """Return why a record is not that of the user whose key it has, as a message; None if it is.

    Args:
        id_key: what the record calls its id.
        key: of the topic's record.
        value: of it.
    """
    # As the joiner writes them, nothing needs to be parsed.
    if value.startswith(b'{"' + id_key.encode() + b'":' + json.dumps(key.decode(), ensure_ascii=False).encode() + b","):
        return None
    return check_record(id_key, key, value)


def check_record(id_key: str, key: bytes, value: bytes) -> str | None:
    """Return the same, after having read all of the record."""
    try:
        record = json.loads(value)
    except ValueError as error:
        return f"its value is not JSON: {error}"
    if not isinstance(record, dict):
        return "its value is not a JSON object"
    if record.get(id_key) != key.decode():
        return f"its {id_key} is not its key"
    return None


def split_record(value: bytes) -> Mapping[str, str | None]:
    """Return key -> what a record says there: text as it is, anything else as its JSON; None for null.

    Raises:
        ValueError: it is not a JSON object.
    """
    text = value.decode()
    found: dict[str, str | None] = {}
    at = _skip(text, 0, "{")
    if text[at : at + 1] == "}":
        return found
    while True:
        key, at = _scan(text, _skip(text, at))
        if not isinstance(key, str):
            raise ValueError(f"{key!r} is no key")
        begin = _skip(text, at, ":")
        content, at = _scan(text, begin)
        found[key] = content if content is None or isinstance(content, str) else text[begin:at]
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            break
        at = _skip(text, at, ",")
    if text[at + 1 :].strip(_BLANK):
        raise ValueError("something follows the object")
    return found


def _skip(text: str, at: int, expected: str = "") -> int:
    """Return where the text goes on after blanks, and after what is expected with the blanks that follow that."""
    while text[at : at + 1] and text[at] in _BLANK:
        at += 1
    if not expected:
        return at
    if text[at : at + 1] != expected:
        raise ValueError(f"{expected} is missing at {at}")
    return _skip(text, at + 1)
