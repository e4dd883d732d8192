"""A piece of memory that the processes of one reader share: each has a place in it that it alone writes, all read all.

Guarantees: what is read was written whole. A place has two halves, written in turn, so that a process that dies while
it writes leaves what it wrote before. Knows nothing of what is written.
"""

import mmap
import os
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Self

SLOT_BYTES = 2 * 1024 * 1024
"""Room of one place; what is never written takes no memory."""

HALF_BYTES = SLOT_BYTES // 2
HEAD = struct.Struct("=QII")
"""Before each half's text: how often its place was written, the text's length, and a checksum of both and the text."""


class SharedMemory:
    """The shared memory.

    Args:
        file: descriptor of the file behind it; whoever inherits that has the same board.
        places: how many there are.
    """

    def __init__(self, file: int, places: int) -> None:
        self.file = file
        self._memory = mmap.mmap(file, places * SLOT_BYTES)
        self._written = [self._latest(place)[0] for place in range(places)]

    @classmethod
    def create(cls, folder: Path, places: int) -> Self:
        """Make a board out of a file that has no name, and is gone with the last process that has it.

        Args:
            folder: on whose file system.
            places: how many there are.
        """
        with tempfile.TemporaryFile(dir=folder) as file:
            file.truncate(places * SLOT_BYTES)
            return cls(os.dup(file.fileno()), places)

    def write(self, place: int, text: bytes) -> None:
        """Replace what stands in a place.

        Raises:
            ValueError: there is more than a place has room for.
        """
        if len(text) > HALF_BYTES - HEAD.size:
            raise ValueError(f"{len(text)} bytes do not fit into a place")
        number = self._written[place] + 1
        begin = place * SLOT_BYTES + number % 2 * HALF_BYTES
        self._memory[begin + HEAD.size : begin + HEAD.size + len(text)] = text
        HEAD.pack_into(self._memory, begin, number, len(text), _checksum(number, text))
        self._written[place] = number

    def read(self, place: int) -> bytes | None:
        """Return what stands in a place; None where nothing was written yet."""
        return self._latest(place)[1]

    def number(self, place: int) -> int:
        """Return a number that changes whenever a place is written; cheaper than reading it."""
        begin = place * SLOT_BYTES
        (first, *_), (second, *_) = (HEAD.unpack_from(self._memory, begin + half * HALF_BYTES) for half in (0, 1))
        return max(int(first), int(second))

    def close(self) -> None:
        """Let go of it."""
        self._memory.close()
        os.close(self.file)

    def _latest(self, place: int) -> tuple[int, bytes | None]:
        return max((self._half(place * SLOT_BYTES + half * HALF_BYTES) for half in (0, 1)), key=lambda found: found[0])

    def _half(self, begin: int) -> tuple[int, bytes | None]:
        """Return the number and the text of a half; 0 and None where it is not whole."""
        number, length, checksum = HEAD.unpack_from(self._memory, begin)
        if number == 0 or length > HALF_BYTES - HEAD.size:
            return 0, None
        text = self._memory[begin + HEAD.size : begin + HEAD.size + length]
        return (number, text) if checksum == _checksum(number, text) else (0, None)


def _checksum(number: int, text: bytes) -> int:
    return zlib.crc32(text, number & 0xFFFFFFFF)
