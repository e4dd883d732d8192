"""Reads Avro in Confluent's wire format: a zero byte, the id of a schema, and a value as that schema writes it.

What comes of it is what a JSON document with Connect's schema would have given, so all else about rows is read as it is
there. A schema is compiled once for each id, which registries never give to another schema. Pure: where schemas come
from, a source knows.
"""

from io import BytesIO
from typing import Any, Protocol

import fastavro

from joiner.core.avro_schema import AvroSchema, compile_avro
from joiner.core.connect_schema import Schema
from joiner.core.values import AVRO_FIRST
from shared.errors import BadRow

HEAD_BYTES = 5
"""The zero byte, and the id as an integer of four bytes, the highest first."""

_UNREADABLE = (ValueError, LookupError, EOFError, TypeError, OverflowError, RecursionError, MemoryError)
"""What fastavro raises of bytes that are not what their schema says."""


class SchemaSource(Protocol):
    """Where schemas come from."""

    def find_schema(self, schema_id: int) -> str:
        """Return a schema as JSON.

        Raises:
            BadRow: there is none of that id, or it is not one of Avro.
            RegistryAway: it cannot be told yet.
        """
        ...


class AvroDecoder:
    """Reads keys and values, and remembers schemas. May be used from any thread: at worst two learn the same schema.

    Args:
        source: where schemas come from.
    """

    def __init__(self, source: SchemaSource) -> None:
        self._source = source
        self._schemas: dict[bytes, AvroSchema] = {}
        self._refused: dict[int, str] = {}

    def open(self, data: bytes) -> tuple[Any, Schema]:
        """Return what a key or a value holds, and which of its columns need decoding.

        Args:
            data: it begins with a zero byte.

        Raises:
            BadRow: it cannot be read by its schema, or has none.
            RegistryAway: its schema cannot be had yet.
        """
        compiled = self._schemas.get(data[:HEAD_BYTES]) or self.learn(data[:HEAD_BYTES])
        stream = BytesIO(data)
        stream.seek(HEAD_BYTES)
        try:
            value = fastavro.schemaless_reader(stream, compiled.wire, None)
        except _UNREADABLE as error:
            raise BadRow("bad-avro", f"it is not what its schema {read_id(data)} says: {error!s:.200}") from None
        if stream.tell() != len(data):
            raise BadRow("bad-avro", f"it is longer than its schema {read_id(data)} says")
        return (value if compiled.spell is None or value is None else compiled.spell(value)), compiled.schema

    def open_key(self, key: bytes) -> tuple[Any, Schema]:
        """Return what a key holds, as `open` does.

        Raises:
            BadRow, RegistryAway: as of `open`; also where the same value could be another key in bytes.
        """
        opened = self.open(key)
        if self._schemas[key[:HEAD_BYTES]].is_ambiguous:
            raise BadRow(
                "bad-key", f"its schema {read_id(key)} has a union of several types, so one row has several keys"
            )
        return opened

    def describe_key(self, key: bytes) -> tuple[int, object]:
        """Return the id of a key's schema, and its columns: name -> type, or a type where it has none.

        Args:
            key: one that a row was read from.
        """
        connect = self._schemas[key[:HEAD_BYTES]].connect
        columns = {each["field"]: _name_type(each) for each in connect.get("fields", ())}
        return read_id(key), columns or _name_type(connect)

    def learn_schema(self, schema_id: int) -> None:
        """Have a schema at hand; raises as `learn` does."""
        self.learn(AVRO_FIRST + schema_id.to_bytes(HEAD_BYTES - 1, "big"))

    def learn(self, head: bytes) -> AvroSchema:
        """Return the schema that a key or a value begins with, and remember it.

        Args:
            head: its first bytes.

        Raises:
            BadRow: it has none.
            RegistryAway: it cannot be had yet.
        """
        if len(head) < HEAD_BYTES:
            raise BadRow("bad-avro", "it begins with a zero byte, and is too short to name a schema of Avro")
        schema_id = read_id(head)
        if schema_id in self._refused:
            raise BadRow("bad-schema", self._refused[schema_id])
        try:
            compiled = self._schemas[head[:HEAD_BYTES]] = compile_avro(self._source.find_schema(schema_id))
        except BadRow as bad:
            if bad.reason == "bad-schema":  # for ever: no other schema gets its id
                self._refused[schema_id] = bad.detail
            raise
        return compiled


def read_id(data: bytes) -> int:
    """Return the id of the schema that a key or a value begins with."""
    return int.from_bytes(data[1:HEAD_BYTES], "big")


def _name_type(schema: dict[str, Any]) -> str:
    return str(schema.get("name") or schema["type"]).rpartition(".")[2]
