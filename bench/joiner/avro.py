"""The same workload in Avro, under the ids of a real schema registry."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import fastavro
import httpx
import orjson

from bench.joiner.workload import Row, Workload


@dataclass
class AvroWorkload(Workload):
    """Rows of the built-in tables, flat, with keys as a connector writes them; the truth is the same.

    Args:
        registry_url: where a registry is, as Confluent's clients find it.
    """

    registry_url: str = ""
    _schemas: dict[str, tuple[bytes, Any]] = field(default_factory=dict, init=False)

    @property
    def settings(self) -> dict[str, str]:
        """What the joiners need besides."""
        return {"SCHEMA_REGISTRY_URL": self.registry_url}

    def all_rows(self) -> Iterator[Row]:
        """Yield every row, and count it."""
        for topic, key, value in super().all_rows():
            row = orjson.loads(value)
            column = next(iter(row))
            yield topic, self._write(f"{topic}-key", {column: int(key)}), self._write(f"{topic}-value", row)

    def _write(self, subject: str, row: dict[str, object]) -> bytes:
        if subject not in self._schemas:
            self._schemas[subject] = self._register(subject, row)
        head, schema = self._schemas[subject]
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, schema, row)
        return head + stream.getvalue()

    def _register(self, subject: str, row: dict[str, object]) -> tuple[bytes, Any]:
        fields = [
            {"name": name, "type": "long" if isinstance(value, int) else ["null", "string"]}
            for name, value in row.items()
        ]
        schema = {"type": "record", "name": subject.replace("-", "_"), "fields": fields}
        url = f"{self.registry_url}/subjects/{subject}/versions"
        response = httpx.post(url, json={"schema": json.dumps(schema)}, trust_env=False).raise_for_status()
        return b"\0" + int(response.json()["id"]).to_bytes(4, "big"), fastavro.parse_schema(schema)
