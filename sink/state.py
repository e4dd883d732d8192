"""What a store holds next to a copy: what it is a copy of, how far it is, and what the reserved records say.

Written in the transaction of the records, so that it is as old as they are, whatever happens to the store. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from replication.compatibility import CopyIdentity
from replication.records import UNKNOWN_TIME_MS, Record
from shared.builds import BUILD_PREFIX, BuildMark, parse_mark
from shared.heartbeats import Heartbeat, parse_heartbeat
from shared.shape import SHAPE_KEY, Shape, parse_shape

FORMAT = 1
"""Version of what a sink writes next to a copy; data of another version is not read but rebuilt."""


@dataclass(frozen=True)
class CopyState:
    """The state of one copy; never changed, but replaced.

    Args:
        identity: of the topic, as it is noted.
        offsets: partition -> the next offset to read, of every partition of which something was read.
        reserved: (partition, key) -> value, of the newest heartbeats and marks.
        shape: the value of the newest record that said it; None if none did.
        shape_ms: when that was written, epoch ms.
        has_users: whether a record of a user was ever applied.
        begun: when the copy was begun, or last held all of the topic while it was unfinished, epoch ms.
        complete: when it last held all of the topic as a whole copy, epoch ms; None: it never was whole.
    """

    identity: Mapping[str, Any]
    offsets: Mapping[int, int] = field(default_factory=dict)
    reserved: Mapping[tuple[int, bytes], bytes] = field(default_factory=dict)
    shape: bytes | None = None
    shape_ms: int = UNKNOWN_TIME_MS
    has_users: bool = False
    begun: int = 0
    complete: int | None = None

    @classmethod
    def begin(cls, identity: CopyIdentity, now_ms: int, shape: tuple[bytes, int] | None = None) -> Self:
        """Return the state of a copy that holds nothing yet.

        Args:
            identity: the topic's.
            now_ms: the time, epoch ms.
            shape: the value of the record that says it, and when that was written; None: not known yet.
        """
        value, shape_ms = shape or (None, UNKNOWN_TIME_MS)
        return cls(identity.to_note(), shape=value, shape_ms=shape_ms, begun=now_ms)

    def follow(self, offsets: Mapping[int, int], records: Iterable[Record], *, has_users: bool) -> Self:
        """Return the state after a batch.

        Args:
            offsets: partition -> the next offset; one that is behind changes nothing.
            records: the reserved ones, in the topic's order within each partition.
            has_users: whether the batch has records of users.
        """
        reserved, shape, shape_ms = dict(self.reserved), self.shape, self.shape_ms
        for record in records:
            if record.value is None:
                continue
            if record.key == SHAPE_KEY:
                # An older one may lie behind it, in a partition that is read later.
                if record.timestamp_ms >= shape_ms:
                    shape, shape_ms = record.value, record.timestamp_ms
            else:
                _forget_former_parts(reserved, record)
                reserved[record.partition, record.key] = record.value
        advanced = {partition: max(offset, self.offsets.get(partition, 0)) for partition, offset in offsets.items()}
        return replace(
            self,
            offsets={**self.offsets, **advanced},
            reserved=reserved,
            shape=shape,
            shape_ms=shape_ms,
            has_users=self.has_users or has_users,
        )

    def note_complete(self, moment_ms: int, *, whole: bool) -> Self:
        """Return the state with the time at which the copy last held all of the topic, epoch ms."""
        return replace(self, complete=moment_ms) if whole else replace(self, begun=moment_ms)

    @property
    def known_shape(self) -> Shape | None:
        """The shape of its records; None if none was said."""
        return None if self.shape is None else parse_shape(self.shape)

    def marks(self) -> Iterator[tuple[int, BuildMark]]:
        """Yield the newest marks, each with its partition."""
        for (partition, key), value in self.reserved.items():
            mark = parse_mark(key, value)
            if mark is not None:
                yield partition, mark

    def heartbeats(self) -> list[tuple[int, Heartbeat]]:
        """Return the newest heartbeats, each with its partition, the oldest of them first."""
        parsed = ((partition, parse_heartbeat(key, value)) for (partition, key), value in self.reserved.items())
        found = [(partition, heartbeat) for partition, heartbeat in parsed if heartbeat is not None]
        return sorted(found, key=lambda pair: pair[1].time_ms)

    @property
    def since_ms(self) -> int:
        """When it was last known to be complete, or was begun, epoch ms."""
        return max(self.complete or 0, self.begun)

    def to_document(self) -> dict[str, Any]:
        """Return all of it in types that JSON can hold."""
        return {
            "identity": dict(self.identity),
            "offsets": {str(partition): offset for partition, offset in sorted(self.offsets.items())},
            "reserved": [[partition, key.hex(), value.hex()] for (partition, key), value in self.reserved.items()],
            "shape": None if self.shape is None else self.shape.hex(),
            "shapeMs": self.shape_ms,
            "hasUsers": self.has_users,
            "begun": self.begun,
            "complete": self.complete,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the state that `to_document` was called on."""
        shape = document["shape"]
        return cls(
            document["identity"],
            {int(partition): offset for partition, offset in document["offsets"].items()},
            {(partition, bytes.fromhex(key)): bytes.fromhex(value) for partition, key, value in document["reserved"]},
            None if shape is None else bytes.fromhex(shape),
            document["shapeMs"],
            document["hasUsers"],
            document["begun"],
            document["complete"],
        )


def _forget_former_parts(reserved: dict[tuple[int, bytes], bytes], record: Record) -> None:
    """Delete a partition's marks of another number of parts than a new one: the internal topic was created again."""
    if not record.key.startswith(BUILD_PREFIX):
        return
    parts = record.key[record.key.rindex(b"/") :]
    for partition, key in list(reserved):
        if partition == record.partition and key.startswith(BUILD_PREFIX) and not key.endswith(parts):
            del reserved[partition, key]
