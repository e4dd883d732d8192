"""Which copy is live, and which is being built next to it: folders, and a file that names one of them.

A swap is one rename, so at any moment exactly one copy is live. A copy that was open when the machine went down is not
trusted (see reader.storage.store). Knows nothing of what the copies hold.
"""

import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from reader.storage.errors import DamagedError, StoreFullError
from reader.storage.read_view import ReadView
from reader.storage.store import FIRST_MAP_BYTES, Store
from shared.errors import StateError

logger = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

POINTER, OPENED = "current", "opened-in"
OWN_FILES = re.compile(r"copy-\d+|current(\.new)?|opened-in|lock|incoming|lost\+found|log|.+\.log|\..+")
"""What a reader's folder may hold before it names a live copy: its own files, logs, and a file system's own entries."""

NAME_EMPTY = "name an empty folder"


def refuse_foreign(folder: Path) -> None:
    """Check that a folder is a reader's, or empty, before anything is written to it.

    Raises:
        StateError: it holds files of another program.
    """
    try:
        if (folder / POINTER).exists():
            read_live_name(folder)
            return
        foreign = sorted(file.name for file in folder.iterdir() if not OWN_FILES.fullmatch(file.name))
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable_error(folder, error) from error
    if foreign:
        raise StateError(f"READER_STATE_DIR={folder} is not a reader's folder, it holds {foreign[0]!r}", NAME_EMPTY)


def read_live_name(folder: Path) -> str:
    """Return the name of a reader's live copy.

    Raises:
        StateError: the folder names something that is not a copy.
    """
    pointer = folder / POINTER
    name = pointer.read_text(errors="replace").strip() if pointer.exists() else "copy-1"
    if not re.fullmatch(r"copy-\d+", name):
        raise StateError(f"READER_STATE_DIR={folder} is not a reader's folder: {pointer} names no copy", NAME_EMPTY)
    return name


def _unusable_error(folder: Path, error: OSError) -> StateError:
    return StateError(
        f"READER_STATE_DIR={folder} cannot be used: {error.strerror}: {error.filename}",
        "name a folder that this process may write to",
    )


class Generations:
    """The copies in a reader's folder.

    The replicator thread alone calls `open_next` and `swap`. `live` is what `swap` replaces: the thread that reads the
    store takes it from here again for each read, and does not keep it, so that the replicator can close the old copy
    once that thread has run a function between two reads.

    Args:
        folder: READER_STATE_DIR.
        map_bytes: how much room each copy begins with; it grows by itself.
    """

    def __init__(self, folder: Path, map_bytes: int = FIRST_MAP_BYTES) -> None:
        refuse_foreign(folder)
        self._folder = folder
        self._map_bytes = map_bytes
        self._pointer = folder / POINTER
        self._opened = folder / OPENED
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._delete_torn_copies()
            self.live = self._open(folder / read_live_name(folder))
            self._point_to(self.live.folder.name)
        except OSError as error:
            raise _unusable_error(folder, error) from error

    def _open(self, folder: Path) -> Store:
        try:
            return Store(folder, self._map_bytes)
        except DamagedError as error:
            logger.warning("%s; it is deleted, and the topic is replayed", error)
            shutil.rmtree(folder)
            return Store(folder, self._map_bytes)

    def view(self) -> ReadView:
        """Return the live copy as it is now."""
        return self.live.view()

    def release_dead_readers(self) -> None:
        """Give back the pages of the live copy that processes were reading when they died."""
        self.live.release_dead_readers()

    def open_next(self, can_continue: Callable[[Store], bool]) -> Store:
        """Return a copy next to the live one, to be built.

        Args:
            can_continue: returns whether to continue with a copy that an earlier build left; if not, it is dropped.
        """
        folder = self._folder / f"copy-{int(self.live.folder.name.removeprefix('copy-')) + 1}"
        for other in self._folder.glob("copy-*"):
            if other not in {self.live.folder, folder}:
                shutil.rmtree(other)
        built = self._open(folder)
        if built.offsets() and not can_continue(built):
            Generations.drop(built)
            built = Store(folder, self._map_bytes)
        return built

    def swap(self, built: Store) -> Store:
        """Make a built copy the live one; return the one that it replaces, to be dropped once no thread reads it."""
        self._point_to(built.folder.name)
        old, self.live = self.live, built
        return old

    @staticmethod
    def drop(old: Store) -> None:
        """Close a copy and delete it."""
        old.close()
        shutil.rmtree(old.folder, ignore_errors=True)

    def close(self) -> None:
        """Sync the live copy to disk, and close it."""
        try:
            self.live.sync()
        except StoreFullError as error:
            logger.warning("%s; the topic is replayed after this machine's next start", error)
        else:
            self._opened.unlink(missing_ok=True)
        finally:
            self.live.close()

    def _point_to(self, name: str) -> None:
        draft = self._folder / "current.new"
        draft.write_text(name)
        draft.replace(self._pointer)

    def _delete_torn_copies(self) -> None:
        boot = BOOT_ID.read_text() if BOOT_ID.exists() else "unknown"
        if self._opened.exists() and self._opened.read_text() != boot:
            for folder in self._folder.glob("copy-*"):
                shutil.rmtree(folder)
        self._opened.write_text(boot)
        with self._opened.open() as file:
            os.fsync(file.fileno())
