"""Which columns a table has for records of a shape. Pure."""

import re
from typing import NamedTuple

from shared.shape import FieldShape, Shape
from sink.errors import ForeignData

MAX_NAME_BYTES = 63
"""PostgreSQL cuts longer names off without an error."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Column(NamedTuple):
    """One column.

    Args:
        key: of the record.
        name: of the column.
        type: in PostgreSQL.
    """

    key: str
    name: str
    type: str


def to_columns(shape: Shape) -> list[Column]:
    """Return the columns for a shape, that of the id first.

    Raises:
        ForeignData: PostgreSQL cannot have a column for each key; names the keys.
    """
    keys = [
        (shape.id, "text"),
        *((field.key, _type_of_field(field)) for field in shape.fields),
        *((key, "bigint") for key in shape.counts),
        *((each.key, "numeric") for each in shape.sums),
    ]
    columns = [Column(key, to_snake_case(key), type_) for key, type_ in keys]
    by_name: dict[str, str] = {}
    for key, name, _ in columns:
        if max(len(key.encode()), len(name.encode())) > MAX_NAME_BYTES:
            raise ForeignData(
                f"the key {key} is too long for a column of PostgreSQL", "give it another name in the view"
            )
        if name in by_name:
            raise ForeignData(
                f"the keys {by_name[name]} and {key} would both be the column {name}", "rename one of them in the view"
            )
        by_name[name] = key
    return columns


def to_snake_case(key: str) -> str:
    """Return a key of the record as a column's name: `webPageUrl` is `web_page_url`."""
    return _HUMP.sub("_", key).replace("-", "_").lower()


def _type_of_field(field: FieldShape) -> str:
    # Times stay text: nanoseconds, and years that PostgreSQL does not have, are kept as they are.
    return {"json": "json", "decimal": "numeric"}.get(field.type, "text")


def find_change(old: list[Column], new: list[Column]) -> tuple[list[Column], str | None]:
    """Compare the columns of two shapes.

    Returns:
        the columns that are added, and why the old ones cannot be kept beside them, as a message; None if they can.
    """
    known = {column.name: column for column in old}
    wanted = {column.name: column for column in new}
    for name, column in known.items():
        if name not in wanted:
            return [], f"the view no longer has the key {column.key}"
        if wanted[name] != column:
            return [], f"the view's key {wanted[name].key} is of another type than before"
    return [column for column in new if column.name not in known], None
