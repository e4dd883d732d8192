"""What the poller keeps on disk: how far each table has been read, and which keys its topic holds.

Never ahead of Kafka: it is written once Kafka has committed. What is lost with it costs time and nothing else, since
the keys are read from the topics again and the rows from the tables. One SQLite file, so that all changes at once.
"""

import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.errors import StateError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topic (
    name TEXT PRIMARY KEY, id TEXT NOT NULL, partitions INTEGER NOT NULL, form TEXT, cursor TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS position (
    topic TEXT, partition INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS known (topic TEXT, key BLOB, PRIMARY KEY (topic, key)) WITHOUT ROWID;
"""

CACHE_KIB = 64 * 1024
"""How much memory keys take, however many there are."""


@dataclass
class Progress:
    """What one transaction in Kafka changes.

    Args:
        cursors: topic -> transaction and key's columns of the last row that was written.
        present: topic and key of each row that was written, in order, and whether it is there or deleted.
        notes: name -> value.
    """

    cursors: dict[str, Sequence[str]] = field(default_factory=dict)
    present: dict[tuple[str, bytes], bool] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


class State:
    """The file, opened.

    Args:
        folder: where it is.

    Raises:
        StateError: it cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "state.sqlite"
        self._db = sqlite3.connect(self._path, isolation_level=None)
        try:
            self._prepare(folder / "comparison.sqlite")
        except (sqlite3.Error, OSError) as error:
            self._db.close()
            hint = "delete the folder; all rows are then sent again, which does no harm"
            raise StateError(f"{self._path} cannot be used: {error}", hint) from error
        self.writer = self.note("writer") or str(uuid.uuid4())
        self.save(Progress(notes={"writer": self.writer}), {})

    def _prepare(self, compared: Path) -> None:
        # What a crash left of a comparison is of no use.
        compared.unlink(missing_ok=True)
        self._db.executescript(f"PRAGMA journal_mode = WAL; PRAGMA cache_size = -{CACHE_KIB}; {_SCHEMA}")
        self._db.execute("ATTACH ? AS comparison", [str(compared)])
        self._db.executescript("PRAGMA comparison.journal_mode = OFF; PRAGMA comparison.synchronous = OFF;")

    def note(self, name: str) -> str | None:
        """Return a note."""
        (value,) = self._db.execute("SELECT value FROM note WHERE name = ?", [name]).fetchone() or (None,)
        return value

    def find_topic(self, name: str) -> tuple[str, int] | None:
        """Return a topic's id and partitions as they were; None where it is new."""
        found: tuple[str, int] | None = self._db.execute(
            "SELECT id, partitions FROM topic WHERE name = ?", [name]
        ).fetchone()
        return found

    def begin_topic(self, name: str, topic_id: str, partitions: int) -> None:
        """Forget what was known of a topic of that name, and keep in mind the one that is there now."""
        with self._transaction():
            for table in ("position", "known"):
                self._db.execute(f"DELETE FROM {table} WHERE topic = ?", [name])
            self._db.execute(
                "INSERT OR REPLACE INTO topic (name, id, partitions) VALUES (?, ?, ?)", [name, topic_id, partitions]
            )

    def begin_table(self, topic: str, form: str) -> None:
        """Have a table read from its first row where its rows look otherwise now."""
        change = "UPDATE topic SET form = ?, cursor = NULL WHERE name = ? AND form IS NOT ?"
        self._db.execute(change, [form, topic, form])

    def begin_again(self, topic: str) -> None:
        """Have a table read from its first row."""
        self._db.execute("UPDATE topic SET cursor = NULL WHERE name = ?", [topic])

    def begin_all_again(self) -> None:
        """Have every table read from its first row."""
        self._db.execute("UPDATE topic SET cursor = NULL")

    def cursor(self, topic: str) -> Sequence[str] | None:
        """Return the place behind which the table is read on; None: from its first row."""
        (cursor,) = self._db.execute("SELECT cursor FROM topic WHERE name = ?", [topic]).fetchone() or (None,)
        return None if cursor is None else json.loads(cursor)

    def positions(self, topic: str) -> dict[int, int]:
        """Return partition -> the next offset that is not known."""
        return dict(self._db.execute("SELECT partition, next FROM position WHERE topic = ?", [topic]))

    def save(self, progress: Progress, positions: Mapping[tuple[str, int], int]) -> None:
        """Write what Kafka has committed.

        Args:
            progress: what is there now.
            positions: topic and partition -> the next offset.
        """
        here = [place for place, is_there in progress.present.items() if is_there]
        gone = [place for place, is_there in progress.present.items() if not is_there]
        with self._transaction():
            self._db.executemany("INSERT OR IGNORE INTO known (topic, key) VALUES (?, ?)", here)
            self._db.executemany("DELETE FROM known WHERE topic = ? AND key = ?", gone)
            cursors = [(json.dumps(cursor), topic) for topic, cursor in progress.cursors.items()]
            self._db.executemany("UPDATE topic SET cursor = ? WHERE name = ?", cursors)
            self._db.executemany(
                "INSERT OR REPLACE INTO position (topic, partition, next) VALUES (?, ?, ?)",
                [(*place, offset) for place, offset in positions.items()],
            )
            self._db.executemany("INSERT OR REPLACE INTO note (name, value) VALUES (?, ?)", progress.notes.items())

    def knows(self, topic: str, key: bytes) -> bool:
        """Return whether a topic holds a key."""
        found = self._db.execute("SELECT 1 FROM known WHERE topic = ? AND key = ?", [topic, key])
        return found.fetchone() is not None

    def find_missing(self, topic: str, keys: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the keys that a topic holds and that are not among others; memory does not grow with their number.

        Args:
            topic: which.
            keys: those that may stay.
        """
        for table in ("there", "gone"):
            self._db.execute(f"DROP TABLE IF EXISTS comparison.{table}")
            self._db.execute(f"CREATE TABLE comparison.{table} (key BLOB PRIMARY KEY) WITHOUT ROWID")
        with self._transaction():
            self._db.executemany("INSERT OR IGNORE INTO comparison.there VALUES (?)", ((key,) for key in keys))
            self._db.execute(
                "INSERT INTO comparison.gone SELECT key FROM known WHERE topic = ?"
                " AND NOT EXISTS (SELECT 1 FROM comparison.there AS there WHERE there.key = known.key)",
                [topic],
            )
        for (key,) in self._db.execute("SELECT key FROM comparison.gone"):
            yield key

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._db)


class _Transaction:
    """A transaction: all or nothing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")
