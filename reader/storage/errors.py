"""What a store raises; LMDB's own exceptions are translated here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from shared.errors import StateError

DAMAGE = (
    lmdb.BadDbiError,
    lmdb.CorruptedError,
    lmdb.IncompatibleError,
    lmdb.InvalidError,
    lmdb.NotFoundError,
    lmdb.PageNotFoundError,
    lmdb.VersionMismatchError,
)
"""What LMDB raises where pages are not what they should be."""

MapFullError = lmdb.MapFullError
"""The map must grow before the next batch fits: see `Store.grow`."""


class StoreFullError(StateError):
    """The disk does not take the next batch; it may later.

    Args:
        folder: of the copy.
        error: what LMDB says.
    """

    def __init__(self, folder: Path, error: object) -> None:
        super().__init__(f"the reader's folder {folder} cannot be written to: {error}", "make room on its disk")


class DamagedError(StateError):
    """A copy that cannot be used any more; it is rebuilt."""


@contextmanager
def translate_open_errors(folder: Path) -> Iterator[None]:
    """Raise what LMDB and the system raise while a copy is opened as StateError or DamagedError.

    Args:
        folder: of the copy.
    """
    try:
        yield
    except DAMAGE as error:
        raise DamagedError(f"the copy in {folder} cannot be read: {error}") from error
    except (OSError, lmdb.Error) as error:
        raise StateError(
            f"the reader's folder {folder} cannot be opened: {error}", "make room on its disk, or name another folder"
        ) from error


@contextmanager
def translate_write_errors(folder: Path) -> Iterator[None]:
    """Raise LMDB's exceptions as this module's.

    Args:
        folder: of the copy.
    """
    try:
        yield
    except lmdb.MapFullError:
        raise
    except DAMAGE as error:
        raise DamagedError(f"the copy in {folder} is damaged: {error}") from error
    except lmdb.Error as error:
        raise StoreFullError(folder, error) from error
