"""The schema of a record in the OpenAPI description, out of the shape that the topic says. Pure."""

from typing import Any

from shared.shape import BUILT_IN_SHAPE, FieldShape, Shape, SumShape

COUNT = {"type": "integer", "minimum": 0}
DIGITS = "^-?[0-9]+"

FIELDS: dict[str, dict[str, Any]] = {
    "text": {"type": ["string", "null"]},
    "json": {},
    "date": {"type": ["string", "null"], "format": "date"},
    "timestamp-millis": {"type": ["string", "null"], "format": "date-time"},
    "timestamp-micros": {"type": ["string", "null"], "format": "date-time"},
    "timestamp-nanos": {"type": ["string", "null"], "format": "date-time"},
}
"""Type of a field -> schema of its values; a decimal's depends on its scale."""


def describe_record(shape: Shape | None) -> dict[str, Any]:
    """Return the schema.

    Args:
        shape: of the records; None where the topic says none: then they may have the built-in view's keys, or others.
    """
    known = shape or BUILT_IN_SHAPE
    properties = {
        known.id: {"type": "string"},
        **{field.key: _describe_field(field) for field in known.fields},
        **dict.fromkeys(known.counts, COUNT),
        **{each.key: _describe_sum(each) for each in known.sums},
    }
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if shape is None:
        return schema
    return {**schema, "required": list(properties), "additionalProperties": False}


def _describe_field(field: FieldShape) -> dict[str, Any]:
    if field.type == "decimal":
        return {"type": ["string", "null"], "pattern": _decimal_pattern(field.scale)}
    return FIELDS[field.type]


def _describe_sum(each: SumShape) -> dict[str, Any]:
    if each.scale is None:
        return {"type": "integer"}
    return {"type": "string", "pattern": _decimal_pattern(each.scale)}


def _decimal_pattern(scale: int) -> str:
    return DIGITS + (rf"\.[0-9]{{{scale}}}$" if scale else "$")
