"""Avro's schemas: what one says of the bytes under its id, in the words of Kafka Connect's schemas.

Guarantees: what is read by a compiled schema is what JsonConverter would have written of the same row, and its columns
are decoded by joiner.core.connect_schema, as JSON's are. Pure: knows no registry.
"""

import base64
import json
import math
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

import fastavro

from joiner.core.connect_schema import Schema, read_schema
from joiner.core.values import Literal
from shared.errors import BadRow

Spelling: TypeAlias = Callable[[Any], Any]
"""Turns what fastavro reads into what a JSON document of it holds."""

LOGICAL_TYPES = {
    "decimal": "org.apache.kafka.connect.data.Decimal",
    "date": "org.apache.kafka.connect.data.Date",
    "time-millis": "org.apache.kafka.connect.data.Time",
    "time-micros": "io.debezium.time.MicroTime",
    "timestamp-millis": "org.apache.kafka.connect.data.Timestamp",
    "timestamp-micros": "io.debezium.time.MicroTimestamp",
    "timestamp-nanos": "io.debezium.time.NanoTimestamp",
    "local-timestamp-millis": "org.apache.kafka.connect.data.Timestamp",
    "local-timestamp-micros": "io.debezium.time.MicroTimestamp",
    "local-timestamp-nanos": "io.debezium.time.NanoTimestamp",
}
"""Avro's logical types -> what Connect or Debezium call the same; others are what they are without."""

_TYPES = {"int": "int32", "long": "int64", "record": "struct", "enum": "string", "fixed": "bytes"}
"""Avro's types -> Connect's, where the names differ."""

CHOICE = "union"
"""In place of a Connect type: any of several, so that one value has several forms in bytes."""

MAX_DEPTH = 3
"""How deep structs are described: an envelope, its rows, their columns. Schemas may be recursive."""


class AvroSchema(NamedTuple):
    """A compiled schema.

    Args:
        wire: the schema as fastavro reads bytes by it, without logical types.
        schema: which values need decoding.
        connect: the schema in Connect's words, as JSON.
        spell: turns what is read into what JSON holds; None: it is that already.
        is_ambiguous: True where the same key could be written in several ways, and so lie in several partitions.
    """

    wire: Any
    schema: Schema
    connect: dict[str, Any]
    spell: Spelling | None
    is_ambiguous: bool


def compile_avro(text: str) -> AvroSchema:
    """Return a schema as rows are read by it.

    Args:
        text: the schema, JSON as the registry holds it.

    Raises:
        BadRow: it is no schema of Avro.
    """
    try:
        document = json.loads(text)
        reader = _SchemaReader(document)
        connect, spell = reader.describe(reader.root), reader.find_spelling(reader.root)
        is_ambiguous = CHOICE in (connect["type"], *(each["type"] for each in connect.get("fields", ())))
        return AvroSchema(fastavro.parse_schema(_strip(document)), read_schema(connect), connect, spell, is_ambiguous)
    except (ValueError, TypeError, LookupError, RecursionError, fastavro.schema.SchemaParseException) as error:
        raise BadRow("bad-schema", f"the schema is not one of Avro: {error!s:.200}") from None


class _SchemaReader:
    """Walks a schema, whose named types may refer to each other and to themselves."""

    def __init__(self, document: Any) -> None:  # noqa: ANN401 - JSON
        self._named: dict[str, Any] = {}
        self._spellings: dict[str, Spelling | None] = {}
        self._open: set[str] = set()
        # All names are whole in what this returns, and all else is kept.
        self.root = fastavro.parse_schema(document, self._named)

    def describe(self, node: Any, depth: int = 0) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Return a schema in Connect's words, as JSON has it."""
        node = self._resolve(node)
        if isinstance(node, list):
            branches = [each for each in node if each != "null"]
            return self.describe(branches[0], depth) if len(branches) == 1 else {"type": CHOICE}
        kind = node["type"]
        described: dict[str, Any] = {"type": node.get("connect.type") or _TYPES.get(kind, kind)}
        name = node.get("connect.name") or LOGICAL_TYPES.get(node.get("logicalType"))
        if name is not None:
            described["name"] = name
        if name == LOGICAL_TYPES["decimal"]:
            described["parameters"] = {"scale": node.get("scale", node.get("connect.parameters", {}).get("scale", 0))}
        if kind == "record":
            fields = node["fields"] if depth < MAX_DEPTH else ()
            described["fields"] = [{**self.describe(each["type"], depth + 1), "field": each["name"]} for each in fields]
        return described

    def find_spelling(self, node: Any) -> Spelling | None:  # noqa: ANN401 - JSON
        """Return what turns a value of a schema into JSON's; None where it is the same."""
        node = self._resolve(node)
        if isinstance(node, list):
            spellings = [self.find_spelling(each) for each in node if each != "null"]
            return spellings[0] if len(spellings) == 1 else _spell_anything if any(spellings) else None
        match node["type"]:
            case "array":
                if self._resolve(node["items"]) == {"type": "null"}:
                    raise ValueError("an array of nulls, of which a few bytes hold any number")
                return _spell_each(self.find_spelling(node["items"]), list)
            case "map":
                return _spell_each(self.find_spelling(node["values"]), dict)
            case "record":
                return self._spell_record(node)
            case kind:
                return _SPELLINGS.get(kind)

    def _spell_record(self, node: dict[str, Any]) -> Spelling | None:
        name = node["name"]
        if name in self._open:  # recursive: what it will be is known once this walk has ended
            return lambda value: spell(value) if (spell := self._spellings[name]) and value is not None else value
        if name not in self._spellings:
            self._open.add(name)
            found = {each["name"]: self.find_spelling(each["type"]) for each in node["fields"]}
            self._open.remove(name)
            self._spellings[name] = _spell_fields({each: spell for each, spell in found.items() if spell is not None})
        return self._spellings[name]

    def _resolve(self, node: Any) -> Any:  # noqa: ANN401 - JSON
        """Return a node with its definition in place of a name, and as an object."""
        if isinstance(node, str):
            return self._named.get(node, {"type": node})
        return self._resolve(node["type"]) if isinstance(node, dict) and isinstance(node["type"], dict | list) else node


def _strip(node: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a schema without logical types: values are read as they were written, and decoded as JSON's are."""
    if isinstance(node, dict):
        return {name: _strip(each) for name, each in node.items() if name not in ("logicalType", "default")}
    return [_strip(each) for each in node] if isinstance(node, list) else node


def _spell_fields(spellings: dict[str, Spelling]) -> Spelling | None:
    if not spellings:
        return None

    def spell_fields(record: Any) -> Any:  # noqa: ANN401 - JSON
        for name, spell in spellings.items():
            value = record[name]
            if value is not None:
                record[name] = spell(value)
        return record

    return spell_fields


def _spell_each(spell: Spelling | None, kind: type) -> Spelling | None:
    if spell is None:
        return None
    if kind is list:
        return lambda array: [each if each is None else spell(each) for each in array]
    return lambda entries: {name: each if each is None else spell(each) for name, each in entries.items()}


def _spell_anything(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Spell a value of a union with several branches, of which fastavro does not say which one it took."""
    if isinstance(value, dict):
        return {name: _spell_anything(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_spell_anything(each) for each in value]
    if isinstance(value, bytes):
        return _spell_bytes(value)
    return spell_double(value) if isinstance(value, float) else value


def _spell_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def spell_double(value: float) -> str:
    """Return a double as Java writes it into JSON: the shortest text that means it, such as 0.5 and 1.0E10."""
    return _spell_shortest(value, repr(value))


def spell_float(value: float) -> str:
    """Return a number of 32 bits as Java writes it."""
    if not math.isfinite(value):
        return spell_double(value)
    wanted = struct.pack("f", value)
    texts = (f"{value:.{digits}g}" for digits in range(1, 10))
    return _spell_shortest(value, next(text for text in texts if struct.pack("f", float(text)) == wanted))


def _spell_shortest(value: float, text: str) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    sign, digits, exponent = Decimal(text).normalize().as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - it is finite
    point = len(digits) + exponent
    if value == 0 or -2 <= point <= 7:
        plain = f"{Decimal(text):f}"
        return Literal(plain if "." in plain else f"{plain}.0")
    first, *others = map(str, digits)
    return Literal(f"{'-' * sign}{first}.{''.join(others) or '0'}E{point - 1}")


_SPELLINGS: dict[str, Spelling] = {
    "bytes": _spell_bytes,
    "fixed": _spell_bytes,
    "double": spell_double,
    "float": spell_float,
}
"""Avro's types whose values JSON holds in another way."""
