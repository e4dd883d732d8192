"""Tables that keep changing: every kind of change that a source can make, bad records among them, and the truth.

What is written is drawn from a seeded generator. Probes are changes to users of their own, one through each table for
many users at once, so that seeing all of them means that every partition is fresh. Safe to use from several threads.
"""

import json
import random
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from bench.joiner.workload import COUNT_KEYS, build_producer
from joiner.core.plan import Table, compile_view
from shared.records import PROFILE_COLUMNS
from shared.threads import BackgroundThread
from shared.view.model import BUILT_IN

TABLES = tuple(compile_view(BUILT_IN).tables.values())

PROBE_USERS = 64
"""Enough that each partition of each topic gets some."""

POISON = (b"", b"{", b"null", b"[1]", b"\xff\xfe", b'{"username": "nobody"}', b'{"op": "q"}', b'{"user_id": {}}')

Record = dict[str, object]


class Tables:
    """The rows after all that was written.

    Args:
        bootstrap_servers: where Kafka is.
        chance: draws the changes.
        users: how many users come and go, besides the probes'.
    """

    def __init__(self, bootstrap_servers: str, chance: random.Random, users: int = 300) -> None:
        self.poison_written = 0
        self._producer = build_producer(bootstrap_servers)
        self._chance = chance
        self._users = [f"user{number}" for number in range(users)]
        self._rows: dict[str, dict[str, Record]] = {table.name: {} for table in TABLES}
        self._probes = 0
        self._lock = threading.Lock()
        for user in self._users:
            self._put(TABLES[0], user, username=user)

    def change(self) -> None:
        """Make one change: rows come, move, stay, go, some of them twice; users too."""
        with self._lock:
            kind, chance = self._chance.random(), self._chance
            table = chance.choice(TABLES[1:])
            row_id = str(chance.randrange(2_000))
            if kind < 0.7:
                self._put(table, row_id, **{owner: self._owner() for owner in table.owners})
            elif kind < 0.8 and row_id in self._rows[table.name]:
                self._send(table.name, row_id, self._rows[table.name][row_id])
            elif kind < 0.95:
                for _ in range(chance.choice((1, 2))):
                    self._delete(table, row_id)
            elif kind < 0.99:
                self._put(TABLES[0], chance.choice(self._users), username=f"name{chance.randrange(1_000)}")
            else:
                self._delete(TABLES[0], chance.choice(self._users))

    def poison(self, records: int) -> None:
        """Write records that no row can be read from, under keys of rows that exist."""
        with self._lock:
            for _ in range(records):
                table = self._chance.choice(TABLES)
                key = self._chance.choice(list(self._rows[table.name]) or ["1"])
                self._producer.produce(table.name, self._chance.choice(POISON), key.encode())
            self.poison_written += records
            self._producer.poll(0)

    def probe(self) -> dict[bytes, Record]:
        """Change every probe user through every table; return what their records will be."""
        with self._lock:
            self._probes += 1
            ids = [f"probe{number}" for number in range(PROBE_USERS)]
            for number, user in enumerate(ids):
                self._put(TABLES[0], user, username=f"probe {self._probes}")
                for table in TABLES[1:]:
                    owners = iter((user, ids[number - 1]))
                    self._put(table, f"{self._probes}-{number}", **{owner: next(owners) for owner in table.owners})
        truth = self.truth()
        return {user.encode(): truth[user.encode()] for user in ids}

    def truth(self) -> dict[bytes, Record]:
        """Return what SQL would answer: user id -> record."""
        with self._lock:
            counted: Counter[tuple[object, int]] = Counter()
            for table in TABLES[1:]:
                for row in self._rows[table.name].values():
                    counted.update((row[table.columns[term.owner]], term.aggregate) for term in table.terms)
            return {user.encode(): _build_record(user, row, counted) for user, row in self._rows["users"].items()}

    def flush(self) -> None:
        """Wait until all that was written has arrived, whatever happens to the broker."""
        while self._producer.flush(1):
            pass

    def _owner(self) -> str | None:
        # Squared, so that some users are popular; some rows have no owner.
        place = int(len(self._users) * self._chance.random() ** 2)
        return None if self._chance.random() < 0.02 else self._users[place]

    def _put(self, table: Table, row_id: str, **columns: str | None) -> None:
        row: Record = {table.primary_key: row_id, **columns}
        self._rows[table.name][row_id] = row
        self._send(table.name, row_id, row)

    def _delete(self, table: Table, row_id: str) -> None:
        self._rows[table.name].pop(row_id, None)
        self._send(table.name, row_id, None)

    def _send(self, topic: str, key: str, row: Record | None) -> None:
        self._producer.produce(topic, None if row is None else json.dumps(row), key.encode())
        self._producer.poll(0)


def _build_record(user: str, row: Record, counted: Mapping[tuple[object, int], int]) -> Record:
    profile = {shown: row.get(column) for column, shown in PROFILE_COLUMNS.items()}
    counts = {shown: counted.get((user, index), 0) for index, shown in enumerate(COUNT_KEYS)}
    return {"userId": user, **profile, **counts}


class Changing(Protocol):
    """Tables that a load changes."""

    def change(self) -> None:
        """Make one change."""


class Load(BackgroundThread):
    """Steady changes, which can be paused and resumed.

    Args:
        tables: what is changed.
        rate: changes a second.
    """

    def __init__(self, tables: Changing, rate: float) -> None:
        super().__init__("load")
        self._tables = tables
        self._rate = rate
        self._resumed = threading.Event()
        self._idle = threading.Event()

    def _run(self) -> None:
        while not self.stopping.is_set():
            if not self._resumed.wait(0.05):
                self._idle.set()
                continue
            self._idle.clear()
            self._tables.change()
            self.stopping.wait(1 / self._rate)

    def resume(self) -> None:
        """Make changes again."""
        self._resumed.set()

    def pause(self) -> None:
        """Stop making changes, and wait until the one under way is made."""
        self._resumed.clear()
        self._idle.clear()
        self._idle.wait(10)
