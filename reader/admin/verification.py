"""Whether a copy is what the topic says, record by record. Pure, but for the reading of what it compares.

The topic up to the copy's offsets is the truth. Compaction may take a record out of that prefix while it is compared,
because a newer one lies beyond the offsets; such a user cannot be compared, and is counted apart.
"""

from collections.abc import Callable, Iterable, Mapping

from reader.storage.store import Record


class Comparison:
    """One copy beside one topic.

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

    def see(self, record: Record) -> None:
        """Take in the topic's next record of its partition."""
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

    def differences(self, held: Iterable[Record]) -> dict[bytes, str]:
        """Return user -> what differs, for people.

        Args:
            held: everything that the copy holds.
        """
        missing = dict(self._latest)
        found: dict[bytes, str] = {}
        for record in held:
            place, topic_place = (record.partition, record.offset), missing.pop(record.key, None)
            if topic_place == place:
                if record.key in self._wrong_bytes:
                    found[record.key] = f"the bytes of {_named(place)} differ"
            elif topic_place is not None:
                found[record.key] = f"the store holds {_named(place)}, the topic {_named(topic_place)}"
            elif record.key not in self._newer:
                found[record.key] = f"the store holds {_named(place)}, the topic nothing"
        for key, place in missing.items():
            found[key] = f"the store holds nothing, the topic {_named(place)}"
        return found


def _named(place: tuple[int, int]) -> str:
    return f"{place[0]}:{place[1]}"
