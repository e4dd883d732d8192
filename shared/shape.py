"""The shape of records in `user-info`: their keys and types, as the joiner says them to whoever reads the topic.

One record under a reserved key, in every partition, since not everybody reads all of them. What the view reads records
from stays the joiner's matter. Pure: knows nothing of Kafka, nor of who writes or reads.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from shared.records import RESERVED_KEY_PREFIX
from shared.view.model import BUILT_IN, FIELD_TYPES, FieldType, View

SHAPE_KEY = RESERVED_KEY_PREFIX + b"shape"
"""Key of that record: compaction keeps the newest."""


@dataclass(frozen=True, slots=True)
class FieldShape:
    """One field of the record: null, or what its type writes.

    Args:
        key: what the record calls it.
        type: of its values.
        scale: places of a decimal; of another type 0.
    """

    key: str
    type: FieldType
    scale: int = 0


@dataclass(frozen=True, slots=True)
class SumShape:
    """One sum of the record.

    Args:
        key: what the record calls it.
        scale: places of the sum, which then is text; None: it is an integer.
    """

    key: str
    scale: int | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """The keys of a record, in its order: the id, the fields, the counts, the sums.

    Args:
        table: whose rows the records are.
        id: the key of the id, which is text.
        fields: values of the row.
        counts: integers from 0 on.
        sums: over rows of other tables.
    """

    table: str
    id: str
    fields: tuple[FieldShape, ...]
    counts: tuple[str, ...]
    sums: tuple[SumShape, ...]

    @classmethod
    def of(cls, view: View) -> Self:
        """Return the shape of a view's records."""
        return cls(
            view.table,
            view.id_key,
            tuple(FieldShape(field.key, field.type, field.scale) for field in view.fields),
            tuple(each.key for each in view.aggregates if each.column is None),
            tuple(SumShape(each.key, each.scale) for each in view.aggregates if each.column is not None),
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys."""
        return (self.id, *(field.key for field in self.fields), *self.counts, *(each.key for each in self.sums))

    def encode(self) -> bytes:
        """Return the value of the record that says it: a JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()


BUILT_IN_SHAPE = Shape.of(BUILT_IN)
"""The shape of the records of the built-in view."""


def parse_shape(value: bytes | None) -> Shape | None:
    """Return the shape that a record says; None where it says none that this version knows.

    Args:
        value: of a record under SHAPE_KEY.
    """
    try:
        document = json.loads(value or b"null")
        shape = Shape(
            _text(document["table"]),
            _text(document["id"]),
            tuple(_parse_field(field) for field in document["fields"]),
            tuple(_text(key) for key in document["counts"]),
            tuple(_parse_sum(each) for each in document["sums"]),
        )
    except (ValueError, TypeError, KeyError):
        return None
    return shape if len(set(shape.keys)) == len(shape.keys) else None


def _parse_field(document: Any) -> FieldShape:  # noqa: ANN401 - JSON
    if document["type"] not in FIELD_TYPES:
        raise ValueError(document["type"])
    return FieldShape(_text(document["key"]), document["type"], _places(document["scale"]))


def _parse_sum(document: Any) -> SumShape:  # noqa: ANN401 - JSON
    scale = document["scale"]
    return SumShape(_text(document["key"]), None if scale is None else _places(scale))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _places(value: object) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(value)
    return value
