"""The commands that write a record under a user's key, in either form. Pure."""

from collections.abc import Callable, Iterator
from typing import Literal

from sink.records import check_id, split_record

Form = Literal["hash", "string"]

Command = tuple[bytes | str, ...]

Render = Callable[[bytes, bytes], Iterator[Command]]
"""A key and the value of the user's record -> the commands that store it."""


def render_string(key: bytes, value: bytes) -> Iterator[Command]:
    """Yield what stores a record's bytes as they are."""
    yield b"SET", key, value


def render_hash(key: bytes, value: bytes) -> Iterator[Command]:
    """Yield what stores a record as a hash, one field for each key; a null is a field that is not there.

    Raises:
        ValueError: the value is not a JSON object, or has text that is no Unicode.
    """
    fields: list[bytes] = []
    for name, content in split_record(value).items():
        if content is not None:
            fields += [name.encode(), content.encode()]
    # All of it anew: a field that the record no longer has must not stay.
    yield b"DEL", key
    if fields:
        yield b"HSET", key, *fields


RENDER: dict[Form, Render] = {"hash": render_hash, "string": render_string}


def find_reason(id_key: str, key: bytes, value: bytes, render: Render) -> str | None:
    """Return why a record cannot be stored, as a message; None if it can.

    Args:
        id_key: what the record calls its id.
        key: of the topic's record.
        value: of it.
        render: makes the commands.
    """
    if render is render_string:
        return None
    reason = check_id(id_key, key, value)
    if reason is not None:
        return reason
    try:
        for _ in render(key, value):
            pass
    except ValueError as error:
        return f"its value cannot be a hash: {error}"
    return None
