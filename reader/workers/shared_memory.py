"""Memory that the processes of one reader share: each process has a slot that it alone writes, and all read all slots.

Guarantees: what is read was written whole. A slot has two halves, written in turn, so that a process that dies while it
writes leaves what it wrote before. Knows nothing of what is written.
"""

import mmap
import os
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Self

SLOT_BYTES = 2 * 1024 * 1024
"""Room of one slot; what is never written takes no memory."""

HALF_BYTES = SLOT_BYTES // 2
SLOT_HEADER = struct.Struct("=QII")
"""In front of each half's text: the slot's version, the text's length, and a checksum of both and the text."""


class SharedMemory:
    """The slots.

    Each slot has one writer: one thread of one process. Any process may read any slot at any time.

    Args:
        file: descriptor of the file behind the memory; a process that inherits it has the same memory.
        slots: how many there are.
    """

    def __init__(self, file: int, slots: int) -> None:
        self.file = file
        self._memory = mmap.mmap(file, slots * SLOT_BYTES)
        self._versions = [self._latest(slot)[0] for slot in range(slots)]

    @classmethod
    def create(cls, folder: Path, slots: int) -> Self:
        """Return memory in a file that has no name, and is gone with the last process that has it.

        Args:
            folder: on whose file system.
            slots: how many there are.
        """
        with tempfile.TemporaryFile(dir=folder) as file:
            file.truncate(slots * SLOT_BYTES)
            return cls(os.dup(file.fileno()), slots)

    def write(self, slot: int, text: bytes) -> None:
        """Replace the text of a slot.

        Raises:
            ValueError: it is longer than a slot has room for.
        """
        if len(text) > HALF_BYTES - SLOT_HEADER.size:
            raise ValueError(f"{len(text)} bytes do not fit into a slot")
        version = self._versions[slot] + 1
        begin = slot * SLOT_BYTES + version % 2 * HALF_BYTES
        self._memory[begin + SLOT_HEADER.size : begin + SLOT_HEADER.size + len(text)] = text
        SLOT_HEADER.pack_into(self._memory, begin, version, len(text), _checksum(version, text))
        self._versions[slot] = version

    def read(self, slot: int) -> bytes | None:
        """Return the text of a slot; None if nothing was written yet."""
        return self._latest(slot)[1]

    def version(self, slot: int) -> int:
        """Return a number that changes whenever a slot is written; cheaper than reading it."""
        begin = slot * SLOT_BYTES
        (first, *_), (second, *_) = (
            SLOT_HEADER.unpack_from(self._memory, begin + half * HALF_BYTES) for half in (0, 1)
        )
        return max(int(first), int(second))

    def close(self) -> None:
        """Unmap the memory."""
        self._memory.close()
        os.close(self.file)

    def _latest(self, slot: int) -> tuple[int, bytes | None]:
        return max((self._half(slot * SLOT_BYTES + half * HALF_BYTES) for half in (0, 1)), key=lambda half: half[0])

    def _half(self, begin: int) -> tuple[int, bytes | None]:
        """Return the version and the text of a half; 0 and None if the last write was torn."""
        version, length, checksum = SLOT_HEADER.unpack_from(self._memory, begin)
        if version == 0 or length > HALF_BYTES - SLOT_HEADER.size:
            return 0, None
        text = self._memory[begin + SLOT_HEADER.size : begin + SLOT_HEADER.size + length]
        return (version, text) if checksum == _checksum(version, text) else (0, None)


def _checksum(version: int, text: bytes) -> int:
    return zlib.crc32(text, version & 0xFFFFFFFF)
