"""Kafka Connect's schemas: what `{"schema":…,"payload":…}` says of the encoded values in its payload.

Connect and Debezium write decimals as base64, and days and times as numbers; only the schema tells. Knows the types by
their names, and no tables.
"""

import base64
from collections import defaultdict
from collections.abc import Callable, Container, Iterable
from itertools import islice
from typing import Any, NamedTuple, TypeAlias, TypeGuard

import orjson

from joiner.core.numbers import format_units
from joiner.core.times import format_days, format_timestamp
from joiner.core.values import DecimalText, EncodedBytes, Literal, NeedsLiteralsError
from shared.errors import BadRow

Decoder: TypeAlias = Callable[[Any], Any]
"""Turns an encoded value into text or a number; raises what DECODING_ERRORS names."""

Decoders: TypeAlias = dict[str, Decoder]
"""Column -> its decoder, for the columns that have encoded values."""


DECODING_ERRORS = (ValueError, TypeError, ArithmeticError, LookupError)


class Schema(NamedTuple):
    """What a schema says of the values that need decoding.

    Args:
        fields: of the payload's own fields.
        row: of the fields of a Debezium envelope's rows.
        payload: of the payload itself, where it is no object; None: it is as it stands.
    """

    fields: Decoders
    row: Decoders
    payload: Decoder | None = None


SCHEMA_FIRST = b'{"schema'
"""How a converter's documents with schemas begin."""

MAX_SCALE = 20_000
"""PostgreSQL's largest scale is 16,383."""

MAX_SCHEMAS = 8
"""Schemas of a topic that are remembered; several alternate while a table changes, or where tables share a topic."""


class Opener:
    """Takes documents out of Connect's wrapper, and remembers each topic's last schemas by their bytes.

    A schema is larger than the row that it describes, and the same in record after record: it is parsed once.
    """

    def __init__(self) -> None:
        self._known: defaultdict[str, dict[bytes, Schema]] = defaultdict(dict)

    def open(self, topic: str, text: bytes, loads: Callable[[bytes], Any]) -> tuple[Any, Schema | None]:
        """Return a document without its wrapper, and its schema; None where it has no wrapper.

        Args:
            topic: whose schema is remembered.
            text: the document; it begins with SCHEMA_FIRST.
            loads: reads JSON.

        Raises:
            ValueError, RecursionError: the text is not JSON.
        """
        known = self._known[topic]
        # Comparing with each costs a tenth of looking for the payload, behind which a dictionary could find the schema.
        for prefix, schema in known.items():
            if text.startswith(prefix) and text.endswith(b"}"):
                try:
                    return loads(text[len(prefix) : -1]), schema
                except ValueError:
                    break  # Then the wrapper does not end there.
        document = loads(text)
        if not is_wrapper(document):
            return document, None
        schema = read_schema(document["schema"])
        if prefix := _find_prefix(text):
            # The newest comes first, so schemas of the past cost nothing.
            self._known[topic] = dict(islice({prefix: schema, **known}.items(), MAX_SCHEMAS))
        return document["payload"], schema


def _find_prefix(text: bytes) -> bytes:
    """Return what comes before the payload, where the schema comes first, as converters write it; else nothing."""
    before, found, _ = text.partition(b',"payload":')
    try:
        whole = is_wrapper(orjson.loads(before + found + b"null}"))
    except ValueError:
        return b""
    return before + found if whole else b""


def is_wrapper(document: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a document is Connect's wrapper."""
    return isinstance(document, dict) and len(document) == 2 and "schema" in document and "payload" in document


def read_schema(schema: object) -> Schema:
    """Return what a schema, as JSON has it, says; of a malformed one, nothing."""
    fields = read_fields(schema)
    row = read_fields(fields.get("after") or fields.get("before"))
    return Schema(_find_decoders(fields), _find_decoders(row), _find_decoder(schema))


def _find_decoders(fields: dict[str, Any]) -> Decoders:
    found = {name: _find_decoder(each) for name, each in fields.items()}
    return {name: decoder for name, decoder in found.items() if decoder is not None}


def read_fields(schema: object) -> dict[str, Any]:
    """Return the schemas of a struct's fields, by name; of another or a malformed schema, none."""
    fields = schema.get("fields") if isinstance(schema, dict) else None
    named = [each for each in fields if isinstance(each, dict)] if isinstance(fields, list) else []
    return {each["field"]: each for each in named if isinstance(each.get("field"), str)}


def decode(
    row: dict[str, Any], decoders: Decoders, columns: Iterable[str], unavailable: Container[str]
) -> dict[str, Any]:
    """Return a row with its encoded values decoded.

    Args:
        row: as the document has it.
        decoders: for the columns that need it.
        columns: the columns that are read; no other can spoil the row.
        unavailable: texts that stand for a value that was left out; they stay.

    Raises:
        BadRow: a value does not fit its schema.
        NeedsLiteralsError: the digits are needed.
    """
    decoded = dict(row)
    for column in columns:
        value, decoder = decoded.get(column), decoders.get(column)
        if decoder is not None and value is not None and not (type(value) is str and value in unavailable):
            decoded[column] = decode_value(value, decoder, f"the column {column}")
    return decoded


def decode_value(value: object, decoder: Decoder, where: str) -> Any:  # noqa: ANN401 - text or a number
    """Return one value decoded.

    Raises:
        BadRow: the value does not fit its schema.
        NeedsLiteralsError: the digits are needed.
    """
    if type(value) is float:
        raise NeedsLiteralsError
    try:
        return decoder(value)
    except DECODING_ERRORS as error:
        raise BadRow("bad-value", f"{where} does not fit its schema: {error!s:.200}") from None


def _find_decoder(schema: object) -> Decoder | None:
    """Return what decodes the values of a schema; None where they are as they stand."""
    if not isinstance(schema, dict):
        return None
    name = schema.get("name")
    if name == "org.apache.kafka.connect.data.Decimal":
        return lambda value: _decode_decimal(value, int(schema["parameters"]["scale"]))
    if isinstance(name, str) and name in _DECODERS:
        return _DECODERS[name]
    return EncodedBytes if schema.get("type") == "bytes" else None


def _decode_decimal(value: object, scale: int) -> str:
    """Return plain decimal text, such as 1.50; a converter may write decimals as base64 or as numbers."""
    if isinstance(value, int | Literal) and not isinstance(value, bool):
        return DecimalText(value)
    if not isinstance(value, str):
        raise TypeError("it is neither base64 nor a number")
    if abs(scale) > MAX_SCALE:
        raise ValueError(f"a scale of {scale}")
    unscaled = int.from_bytes(base64.b64decode(value, validate=True), "big", signed=True)
    if scale <= 0:
        return DecimalText(unscaled * 10**-scale)
    return DecimalText(format_units(unscaled, scale))


def _decode_variable_scale(value: Any) -> str:  # noqa: ANN401 - as JSON has it
    return _decode_decimal(value["value"], int(value["scale"]))


def _decode_days(value: Any) -> str:  # noqa: ANN401 - as JSON has it
    return format_days(int(value))


def _decode_timestamp(decimals: int) -> Decoder:
    """Return what turns a count of units of 10^-decimals s since 1970 into ISO 8601 in UTC, with that many decimals."""

    def decode_timestamp(value: Any) -> str:  # noqa: ANN401 - as JSON has it
        return format_timestamp(int(value), decimals)

    return decode_timestamp


def _decode_time(decimals: int) -> Decoder:
    """Return what turns a count of units of 10^-decimals s since midnight into ISO 8601, with that many decimals."""

    def decode_time(value: Any) -> str:  # noqa: ANN401 - as JSON has it
        seconds, fraction = divmod(int(value), 10**decimals)
        minutes, second = divmod(seconds, 60)
        return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}.{fraction:0{decimals}}"

    return decode_time


_DECODERS: dict[str, Decoder] = {
    "io.debezium.data.VariableScaleDecimal": _decode_variable_scale,
    "org.apache.kafka.connect.data.Date": _decode_days,
    "org.apache.kafka.connect.data.Time": _decode_time(3),
    "org.apache.kafka.connect.data.Timestamp": _decode_timestamp(3),
    "io.debezium.time.Date": _decode_days,
    "io.debezium.time.Time": _decode_time(3),
    "io.debezium.time.MicroTime": _decode_time(6),
    "io.debezium.time.NanoTime": _decode_time(9),
    "io.debezium.time.Timestamp": _decode_timestamp(3),
    "io.debezium.time.MicroTimestamp": _decode_timestamp(6),
    "io.debezium.time.NanoTimestamp": _decode_timestamp(9),
}
"""Name of a type -> what decodes it. Others, such as ZonedTimestamp, Uuid, Json and Enum, are text as they stand."""
