"""What the two meta pages of an LMDB data file say, read without opening it. Knows the file format alone.

A file that was cut short under LMDB's map ends the process at the first touch of a missing page (SIGBUS), so its size
is compared with its meta pages before it is opened. Pages carry no checksums: damage inside them is found by comparing
with the topic. The format is that of LMDB 0.9, `struct MDB_meta` in its mdb.c.
"""

import struct
from pathlib import Path

PAGE_HEADER_BYTES = 16
META = struct.Struct("=IIQQ I 44x 48x QQ")
"""Magic, version, address, map size; page size out of the first database's record; last page, transaction."""

MAGIC = 0xBEEFC0DE
LARGEST_PAGE_BYTES = 65536


def find_damage(file: Path) -> str | None:
    """Return why a data file must not be opened; None where its size and meta pages show no damage.

    Args:
        file: LMDB's data.mdb; one that is missing or empty is new, not damaged.
    """
    size = file.stat().st_size if file.exists() else 0
    if size == 0:
        return None
    with file.open("rb") as opened:
        head = opened.read(2 * LARGEST_PAGE_BYTES)
    first = _read_meta(head, 0)
    page_bytes = first[4] if first else 0
    if first is None or page_bytes not in {256 << power for power in range(9)}:
        return f"{file} is not an LMDB file, or its first meta page is damaged"
    second = _read_meta(head, page_bytes)
    if second is None or second[4] != page_bytes:
        return f"{file} has a damaged second meta page"
    needed = (max(first, second, key=lambda meta: meta[6])[5] + 1) * page_bytes
    if size < needed:
        return f"{file} was cut short: it has {size} bytes, and its meta pages need {needed}"
    return None


def _read_meta(head: bytes, offset: int) -> tuple[int, ...] | None:
    start = offset + PAGE_HEADER_BYTES
    if len(head) < start + META.size:
        return None
    meta = META.unpack_from(head, start)
    return meta if meta[0] == MAGIC else None
