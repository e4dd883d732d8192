"""A lock on a folder or an id of this machine: released when the process ends, however it ends."""

import fcntl
import os
from pathlib import Path
from typing import IO

from shared.errors import AlreadyRunning, StateError


def acquire(path: Path, what: str) -> IO[str]:
    """Take a lock, or name the process that has it.

    Args:
        path: the lock's file; created if missing, together with its folder.
        what: what is locked, for the message, such as ``READER_STATE_DIR=/var/lib/reader``.

    Returns:
        The open file; the lock is held until it is closed or the process ends.

    Raises:
        AlreadyRunning: another process holds it; names that process.
        StateError: the file cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise StateError(
            f"{what} cannot be used: {error.strerror}: {error.filename}",
            hint="name a folder that this process may write to",
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise AlreadyRunning(f"{what} is in use by the process {holder}", hint="give each process its own") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
