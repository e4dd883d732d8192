"""A copy of the live copy, with a manifest: taken while the reader serves, installed where a reader has no copy yet.

Guarantees: what is installed is, byte for byte, what was taken; otherwise nothing is installed. Whether it belongs to
the topic as it is now, and is not too old for it, is decided once Kafka answers (see reader.replication.replicator);
until then it is not served.
"""

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reader.storage.environment import DATA
from reader.storage.errors import DamagedError
from reader.storage.generations import read_live_name
from reader.storage.records import FORMAT
from reader.storage.store import Store
from shared.errors import StateError
from shared.threads import BackgroundThread

MANIFEST = "manifest.json"
INCOMING = "incoming"

SHOW_SECONDS = 0.2


class SnapshotRefused(StateError):  # noqa: N818 - a decision about the snapshot, not a failure of the reader
    """A snapshot that is not used; the message says why."""


def take(state: Path, target: Path, show: Callable[[float], object] = lambda _: None) -> dict[str, Any]:
    """Copy a reader's live copy as it is at this moment, whether the reader runs or not; return the manifest.

    Args:
        state: its READER_STATE_DIR.
        target: a folder that is missing or empty.
        show: takes how much of the copy is written, in percent; called in a thread of its own.

    Raises:
        StateError: there is no complete copy, or the target cannot be written to.
    """
    store = open_live(state)
    try:
        if not store.complete:
            raise StateError(f"READER_STATE_DIR={state} is not complete yet", "wait until /readyz says ready")
        try:
            target.mkdir(parents=True, exist_ok=True)
            if any(target.iterdir()):
                raise StateError(f"the folder {target} is not empty", "name a new one")
            with _WrittenShare(target / DATA, store.bytes_in_use(), show):
                store.copy_to(target)
        except OSError as error:
            raise StateError(
                f"the snapshot {target} cannot be written: {error.strerror}: {error.filename}",
                "name a folder with enough room that this process may write to",
            ) from error
    finally:
        store.close()
    manifest = _describe(target)
    draft = target / f"{MANIFEST}.new"
    draft.write_text(json.dumps(manifest, indent=2) + "\n")
    draft.replace(target / MANIFEST)
    return manifest


class _WrittenShare(BackgroundThread):
    """Shows how much of a file is written, while LMDB writes it in one call."""

    def __init__(self, file: Path, expected_bytes: int, show: Callable[[float], object]) -> None:
        super().__init__("written share")
        self._file = file
        self._expected_bytes = expected_bytes
        self._show = show

    def _run(self) -> None:
        while not self.stopping.wait(SHOW_SECONDS):
            written = self._file.stat().st_size if self._file.exists() else 0
            self._show(min(100.0, 100 * written / max(1, self._expected_bytes)))


def open_live(state: Path) -> Store:
    """Open a reader's live copy read-only, while the reader runs or not.

    Raises:
        StateError: there is none.
    """
    folder = state / read_live_name(state)
    if not (folder / DATA).exists():
        raise StateError(f"READER_STATE_DIR={state} holds no copy of the topic", "start a reader on it first")
    return Store(folder, read_only=True)


def install(source: Path, state: Path) -> bool:
    """Put a snapshot where a reader has no copy yet; return False if it has one.

    Args:
        source: a folder that `take` filled.
        state: the reader's READER_STATE_DIR, held by this process.

    Raises:
        SnapshotRefused: it is damaged, or of another format; nothing was installed.
    """
    shutil.rmtree(state / INCOMING, ignore_errors=True)
    if any(state.glob("copy-*")):
        return False
    manifest = _read_manifest(source)
    incoming = state / INCOMING
    try:
        incoming.mkdir()
        _copy_verified(source / DATA, incoming / DATA, manifest)
        store = Store(incoming)
        store.write_notes(snapshot=str(source))
        store.close()
        incoming.rename(state / read_live_name(state))
    except OSError as error:
        raise SnapshotRefused(f"it cannot be copied: {error.strerror}: {error.filename}") from error
    except DamagedError as error:
        raise SnapshotRefused(str(error)) from error
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return True


def _describe(target: Path) -> dict[str, Any]:
    data = target / DATA
    with data.open("rb") as file:
        os.fsync(file.fileno())
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    copied = Store(target, read_only=True, shared=False)
    try:
        return {
            "format": FORMAT,
            "takenAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "completeAtMs": copied.note("complete"),
            "identity": copied.note("identity"),
            "offsets": {str(partition): offset for partition, offset in sorted(copied.offsets().items())},
            "records": copied.count(),
            "bytes": data.stat().st_size,
            "sha256": checksum,
        }
    finally:
        copied.close()


def _read_manifest(source: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((source / MANIFEST).read_text())
        size = (source / DATA).stat().st_size
        if manifest["format"] != FORMAT:
            raise SnapshotRefused(f"it has format {manifest['format']}, and this version reads format {FORMAT}")
        if manifest["bytes"] != size:
            raise SnapshotRefused(f"it is damaged: {DATA} has {size} bytes, its manifest says {manifest['bytes']}")
        str(manifest["sha256"])
    except OSError as error:
        raise SnapshotRefused(f"it is incomplete: {error.strerror}: {error.filename}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SnapshotRefused(f"its {MANIFEST} is damaged: {error!r}") from error
    return dict(manifest)


def _copy_verified(source: Path, target: Path, manifest: dict[str, Any]) -> None:
    """Copy a file while its checksum is computed on another core."""
    checksums: list[str] = []

    def compute() -> None:
        with source.open("rb") as file:
            checksums.append(hashlib.file_digest(file, "sha256").hexdigest())

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        shutil.copyfile(source, target)
    finally:
        thread.join()
    if checksums != [manifest["sha256"]]:
        raise SnapshotRefused(f"it is damaged: the checksum of {DATA} is not that of its manifest")
