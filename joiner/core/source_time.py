"""When the source made a change, as a record says it: the source's own clock, in epoch ms.

Not what an envelope calls `ts_ms` beside its `source`: that is when the connector came to it. Pure.
"""

from typing import Any

FLATTENED_TIME = "__source_ts_ms"
"""What Debezium's flattening calls it where it is told to keep it: `add.fields=op,source.ts_ms`."""


def read_source_time(envelope: dict[str, Any]) -> int | None:
    """Return the time that an envelope says; None where it says none."""
    source = envelope.get("source")
    time_ms = source.get("ts_ms") if isinstance(source, dict) else None
    # Once for every row: what Debezium writes is answered without another call.
    return time_ms if type(time_ms) is int and time_ms > 0 else read_milliseconds(time_ms)


def read_milliseconds(value: object) -> int | None:
    """Return an epoch time in ms; None where the value is no such number, in digits or in text."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:20])
    return value if type(value) is int and value > 0 else None
