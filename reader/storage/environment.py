"""How a copy's LMDB environment is opened, and what its files are called."""

import os
from pathlib import Path

import lmdb

DATA, LOCK = "data.mdb", "lock.mdb"
"""LMDB's own names of its two files."""

MAX_READERS = 512
"""Room for one read transaction of each of 64 workers, the main process and commands, and of the dead among them that
were not released yet."""


def open_environment(folder: Path, map_bytes: int, *, read_only: bool, shared: bool) -> lmdb.Environment:
    """Open the environment in a folder.

    Args:
        folder: created if missing, unless read-only.
        map_bytes: size of its map.
        read_only: read it next to the process that writes it.
        shared: other processes may use it at the same time.

    Raises:
        lmdb.Error: the folder holds no environment, or not all of one.
        OSError: the folder cannot be used.
    """
    if not read_only:
        folder.mkdir(parents=True, exist_ok=True)
    environment = lmdb.open(
        str(folder),
        map_size=map_bytes,
        max_dbs=2,
        sync=False,
        metasync=False,
        max_readers=MAX_READERS,
        readonly=read_only,
        create=not read_only,
        lock=shared,
        # Where a copy is larger than the memory, a read waits for one page of it, and not for all that a disk is set to
        # read along with it, which would drive other users' pages out besides.
        readahead=False,
    )
    if not read_only:
        _allocate(folder / LOCK)
    return environment


def read_data_size(folder: Path) -> int:
    """Return the size of a copy's data file in bytes; 0 if there is none."""
    file = folder / DATA
    return file.stat().st_size if file.exists() else 0


def _allocate(lock: Path) -> None:
    """Allocate all of LMDB's table of readers on disk: a hole in it would end the process once the disk is full."""
    with lock.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
