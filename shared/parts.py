"""Parts, the partitions of `user-info-changes`: where their users are in `user-info`, and what is said there of a part.

A record that says it has a reserved key, which names the part. Pure: knows nothing of Kafka, nor of who writes.
"""

import json
import math
import re
from typing import Any

_NUMBERS = re.compile(rb"([0-9]{1,9})/([0-9]{1,9})")


def part_key(prefix: bytes, part: int, parts: int) -> bytes:
    """Return the key of a record about a part.

    Args:
        prefix: what records of its kind begin with.
        part: which.
        parts: how many there are.
    """
    return prefix + b"%d/%d" % (part, parts)


def parse_part(prefix: bytes, key: bytes, value: bytes | None) -> tuple[int, int, dict[str, Any]] | None:
    """Return (part, how many there are, what is said of it); None if a record is not of this kind, or is a tombstone.

    Args:
        prefix: what records of the kind begin with.
        key: the record's key.
        value: the record's value, a JSON object.
    """
    named = _NUMBERS.fullmatch(key, len(prefix)) if key.startswith(prefix) else None
    if named is None or value is None:
        return None
    part, parts = int(named[1]), int(named[2])
    try:
        document = json.loads(value)
    except ValueError:
        return None
    return (part, parts, document) if part < parts and isinstance(document, dict) else None


def parts_of(partition: int, partitions: int, parts: int) -> range:
    """Return the parts of `user-info-changes` that have users in a partition of `user-info`.

    Both topics place a user by the same number, the CRC-32 of the key, modulo their own partition counts. So a part and
    a partition share users where their numbers agree modulo the greatest common divisor of the counts.

    Args:
        partition: of user-info.
        partitions: how many user-info has.
        parts: how many partitions user-info-changes has.
    """
    common = math.gcd(partitions, parts)
    return range(partition % common, parts, common)


def partitions_of(part: int, partitions: int, parts: int) -> range:
    """Return the partitions of `user-info` that hold users of a part: the inverse of `parts_of`."""
    return parts_of(part, parts, partitions)
