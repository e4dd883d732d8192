"""Whether a copy is what the topic says, record by record. Pure, except for reading what it compares.

The topic up to the copy's offsets is the truth. Compaction may remove a record from that prefix while it is compared,
because a newer one follows beyond the offsets; such a user cannot be compared, and is not reported.
"""

from collections.abc import Callable, Iterable, Mapping

from replication.records import Record


class Comparison:
    """One copy compared with one topic.

    Args:
        find: returns what the copy holds for a key.
        offsets: partition -> the offset up to which the copy has read the topic.
    """

    def __init__(self, find: Callable[[bytes], Record | None], offsets: Mapping[int, int]) -> None:
        self._find = find
        self._offsets = offsets
        self._latest: dict[bytes, tuple[int, int]] = {}
        self._wrong_bytes: set[bytes] = set()
        self._newer: set[bytes] = set()

    def note(self, record: Record) -> None:
        """Note the topic's next record of its partition."""
        key = record.key
        if record.offset >= self._offsets.get(record.partition, 0):
            self._newer.add(key)
            return
        self._wrong_bytes.discard(key)
        if record.value is None:
            self._latest.pop(key, None)
            return
        self._latest[key] = record.partition, record.offset
        held = self._find(key)
        if held is not None and (held.partition, held.offset) == (record.partition, record.offset) and held != record:
            self._wrong_bytes.add(key)

    def find_differences(self, held: Iterable[Record]) -> dict[bytes, str]:
        """Return user -> what differs, as a message.

        Args:
            held: everything that the copy holds.
        """
        missing = dict(self._latest)
        differences: dict[bytes, str] = {}
        for record in held:
            location, in_topic = (record.partition, record.offset), missing.pop(record.key, None)
            if in_topic == location:
                if record.key in self._wrong_bytes:
                    differences[record.key] = f"the bytes of {_show(location)} differ"
            elif in_topic is not None:
                differences[record.key] = f"the store holds {_show(location)}, the topic {_show(in_topic)}"
            elif record.key not in self._newer:
                differences[record.key] = f"the store holds {_show(location)}, the topic nothing"
        for key, location in missing.items():
            differences[key] = f"the store holds nothing, the topic {_show(location)}"
        return differences


def _show(location: tuple[int, int]) -> str:
    return f"{location[0]}:{location[1]}"
