"""Avro as a connector would write it: schemas under ids, keys and values in Confluent's wire format."""

import io
import json
from typing import Any

import fastavro

from joiner.core.avro import AvroDecoder
from shared.errors import BadRow


class SchemaBook:
    """A registry without a server: it gives each schema an id, and the schema of an id."""

    def __init__(self) -> None:
        self.schemas: list[str] = []

    def find_schema(self, schema_id: int) -> str:
        """Return a schema, as a registry's client does."""
        if not 1 <= schema_id <= len(self.schemas):
            raise BadRow("unknown-schema", f"there is no schema {schema_id}")
        return self.schemas[schema_id - 1]

    def write(self, schema: Any, value: object) -> bytes:  # noqa: ANN401 - JSON
        """Return a value in Avro; the same schema has the same id."""
        text = json.dumps(schema)
        if text not in self.schemas:
            self.schemas.append(text)
        # Values are given as they are written: bytes, and numbers of days and the like.
        plain = fastavro.parse_schema(json.loads(text.replace('"logicalType"', '"unread"')))
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, plain, value)
        return b"\0" + (self.schemas.index(text) + 1).to_bytes(4, "big") + stream.getvalue()


BOOK = SchemaBook()
DECODER = AvroDecoder(BOOK)
"""Reads what BOOK has written."""


def write_avro(document: object) -> bytes:
    """Return a document in Avro, under a schema made of what it holds; bytes are decimals without places."""
    return BOOK.write(infer_schema(document), document)


def infer_schema(value: object, name: str = "Value") -> Any:  # noqa: ANN401 - JSON
    """Return a schema that a value fits."""
    if isinstance(value, dict):
        fields = [{"name": each, "type": infer_schema(inner, f"{name}_{each}")} for each, inner in value.items()]
        return {"type": "record", "name": name, "fields": fields}
    if isinstance(value, list):
        return {"type": "array", "items": infer_schema(value[0], name)}
    number = {"type": "bytes", "logicalType": "decimal", "precision": 99}
    return {bool: "boolean", int: "long", float: "double", bytes: number}.get(type(value), ["null", "string"])
