"""`make run`: starts everything, fills the tables, shows how to try it, and on Ctrl-C stops everything again."""

import os
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import psycopg
from psycopg import sql
from pydantic import Field

from poller.tables import installation
from shared.progress import ProgressBar
from shared.settings import read_settings
from shared.view.sql import to_sql
from stack.connector_watch import ConnectorWatch
from stack.errors import StackError
from stack.examples import OWN, Example
from stack.local import Servers
from stack.readers import Readers, describe_wait
from stack.servers.postgres import HEARTBEATS
from stack.servers.process import Command, check_port
from stack.settings import Port, StackSettings
from stack.tiers import Tier
from stack.traffic import Traffic

STALL_SECONDS = 180.0
"""How long the reader may say the same and not answer with what SQL says."""

Part = Tier | Command | Traffic | ConnectorWatch
"""What is checked again and again while everything runs."""


class RunSettings(StackSettings):
    """The stack's settings, and the ports of the tiers that run with it."""

    joiner_http_port: Port = Field(8001, description="Port of the joiner's health.")
    reader_port: Port = Field(8000, description="Port of the reader, or of the proxy in front of several shards.")
    poller_http_port: Port = Field(8004, description="Port of the poller's health, where the tables are polled.")


def run(users: int, rate: float, shards: int, bar: ProgressBar) -> None:
    """Run the whole service until interrupted.

    Args:
        users: how many users the tables get where they are empty.
        rate: changes a second; 0: none.
        shards: how many readers share the users; 1: one reader holds them all.
        bar: shows how far user-info is, and the lines of all parts.

    Raises:
        StackError: a part does not start, or ends by itself; everything else has been stopped by then.
    """
    settings = read_settings(RunSettings)
    servers, say = Servers(settings), bar.say
    readers = Readers(settings.reader_port, shards, servers.example.resource)
    with ExitStack() as parts:
        tiers = _start(settings, servers, readers, users, say=say, parts=parts)
        checked: list[Part] = [*tiers, *(server.command for server in servers.all)]
        proxy = readers.start_proxy(settings.bootstrap_servers, settings.stack_dir / "proxy", say)
        if proxy is not None:
            parts.enter_context(_announce_stop(proxy.command.name, proxy.stop, say))
            checked.append(proxy.command)
        if not servers.polls:
            checked.append(ConnectorWatch(servers.connect, say))
        with bar:
            _await_truth(servers, readers, checked, bar)
        say(format_invitation(settings, servers.example, readers))
        if rate > 0:
            changes = servers.example.changes
            traffic = Traffic(servers.postgres.dsn, rate, lambda line: say(f"load    | {line}"), changes)
            traffic.start()
            parts.enter_context(_announce_stop("the load", traffic.stop, say))
            checked.append(traffic)
        while True:
            for part in checked:
                part.check()
            time.sleep(0.5)


def _start(  # noqa: PLR0913 - what is started, with what, and who is told
    settings: RunSettings,
    servers: Servers,
    readers: Readers,
    users: int,
    *,
    say: Callable[[str], None],
    parts: ExitStack,
) -> list[Tier]:
    for name, port, variable in (
        ("the reader", settings.reader_port, "READER_PORT"),
        ("the joiner", settings.joiner_http_port, "JOINER_HTTP_PORT"),
        *([("the poller", settings.poller_http_port, "POLLER_HTTP_PORT")] if servers.polls else []),
    ):
        check_port(name, port, variable)
    servers.fetch(say)
    for server in servers.all:
        if server is not servers.connect and servers.start(server, say, detached=False):
            parts.enter_context(_announce_stop(server.command.name, server.stop, say))
    began = time.monotonic()
    written = servers.example.populate(servers.postgres.dsn, users)
    say(f"wrote {written:,} rows in {time.monotonic() - began:.1f} s" if written else "the tables hold rows already")
    if servers.polls:
        servers.postgres.execute(installation(servers.example.view))
    else:
        # Before the joiner, which would wait for them and log that.
        servers.connect.create_topics()
    tiers = []
    for name, environment in _build_environments(settings, servers, readers).items():
        tier = Tier(name, environment, settings.stack_dir / name / "log", say)
        parts.enter_context(_announce_stop(f"the {name}", tier.stop, say))
        tiers.append(tier)
    if not servers.polls and servers.start(servers.connect, say, detached=False):
        parts.enter_context(_announce_stop(servers.connect.command.name, servers.connect.stop, say))
    return tiers


@contextmanager
def _announce_stop(name: str, stop: Callable[[], object], say: Callable[[str], None]) -> Iterator[None]:
    try:
        yield
    finally:
        say(f"stopping {name}")
        stop()


def _build_environments(settings: RunSettings, servers: Servers, readers: Readers) -> dict[str, dict[str, str]]:
    common = {"KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers, **servers.example.settings}
    registry = {} if servers.registry is None else {"SCHEMA_REGISTRY_URL": servers.registry.url}
    folder = settings.stack_dir.absolute()
    poller = {
        **common,
        "POLLER_POSTGRES_DSN": servers.postgres.dsn,
        "POLLER_STATE_DIR": str(folder / "poller"),
        "POLLER_HTTP_PORT": str(settings.poller_http_port),
        "HEARTBEATS_TOPIC": HEARTBEATS,
    }
    return {
        **({"poller": poller} if servers.polls else {}),
        "joiner": {
            **common,
            **registry,
            "JOINER_STATE_DIR": str(folder / "joiner"),
            "JOINER_HTTP_PORT": str(settings.joiner_http_port),
            "HEARTBEATS_TOPIC": HEARTBEATS,
        },
        **{place.name: {**common, **place.settings(folder)} for place in readers.places},
    }


def _await_truth(servers: Servers, readers: Readers, checked: Sequence[Part], bar: ProgressBar) -> None:
    """Wait until the reader answers with SQL's first record: the rows have come all the way."""
    view = servers.example.view
    key = sql.Identifier(view.id_column)
    first = sql.SQL("SELECT min({}) FROM {}").format(key, sql.Identifier(view.table))
    truth = f"SELECT to_json(record) FROM ({to_sql(view, 'postgresql', '= $1')}) AS record"
    began = moved = time.monotonic()
    known: dict[str, Any] = {}
    bar.say("waiting until the reader answers with these rows")
    with psycopg.connect(servers.postgres.dsn, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        while True:
            for part in checked:
                part.check()
            (record_id,) = connection.execute(first).fetchone() or (None,)
            url = f"{readers.find_url(record_id)}/{servers.example.resource}/{record_id}"
            told = connection.execute(truth.encode(), [record_id]).fetchone()
            if (record_id is None or _read(url) == told) and readers.all_serve():
                bar.say(f"the reader answers with what SQL says, {time.monotonic() - began:.1f} s later")
                return
            before, known = known, readers.read_readiness()
            bar.show(known.get("percent"), describe_wait(known))
            if known != before:
                moved = time.monotonic()
            elif time.monotonic() - moved > STALL_SECONDS:
                raise StackError(
                    f"the reader does not answer with what SQL says, and has not moved on for {STALL_SECONDS:.0f} s"
                )
            time.sleep(0.2)


def _read(url: str) -> tuple[object] | None:
    """Return the record that the reader answers with; None where it does not, or not yet."""
    try:
        response = httpx.get(url, timeout=5)
    except httpx.TransportError:
        return None
    return (response.json(),) if response.is_success else None


def format_invitation(settings: RunSettings, example: Example = OWN, readers: Readers | None = None) -> str:
    """Return what there is to try: addresses, and commands that a shell takes as they stand."""
    readers = readers or Readers(settings.reader_port, 1)
    reader = readers.find_url(1)
    defaults = StackSettings.model_fields
    chosen = "".join(
        f"{name.upper()}={shlex.quote(str(getattr(settings, name)))} "
        for name, field in defaults.items()
        if name.upper() in os.environ and getattr(settings, name) != field.default
    )
    record = f"{reader}/{example.resource}/1"
    capture = f"Connect    http://127.0.0.1:{settings.stack_connect_port}/connectors"
    if settings.stack_capture == "polling":
        capture = f"Poller     http://127.0.0.1:{settings.poller_http_port}/readyz"
    if settings.stack_format == "avro":
        capture += f"\n  Schemas    http://127.0.0.1:{settings.stack_registry_port}/apis/ccompat/v7"
    return f"""
  Record     {record}
  Reader     {reader}/readyz
{readers.describe(f"/{example.resource}/1")}  Joiner     http://127.0.0.1:{settings.joiner_http_port}/readyz
  Kafka      {settings.bootstrap_servers}
  Postgres   127.0.0.1:{settings.stack_postgres_port}
  {capture}

  Try, in another terminal:
    curl -sw '\\n' {record}
    {chosen}.venv/bin/python -m stack psql -c "{example.first_change}"
    sleep 1; curl -sw '\\n' {record}

  Ctrl-C stops everything; the data stays in {settings.stack_dir}.
"""
