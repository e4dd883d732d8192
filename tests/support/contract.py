"""The names that other programs use, collected from the objects that carry them.

A deployment sets these variables, a dashboard reads these metrics, a client parses these headers, and a store on a disk
was written under these keys. Collects each kind from a real object: a settings class, a command, a registry, a running
server, a store just written. Source text is read only for the reasons of dead letters, which no object lists. Knows no
expected value.
"""

import ast
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import lmdb
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pydantic_settings import BaseSettings

from bench.cli import commands as bench
from doctor.checks import DoctorSettings
from doctor.cli import main as doctor
from joiner.cli import main as joiner
from joiner.core import compatibility
from joiner.core.chain import (
    CHAIN_HEADER,
    FOLLOWED_KEY,
    SENT_KEY,
    FollowedChains,
    Link,
    encode_links,
    name_source_chain,
)
from joiner.core.partition_work import APPLIED_OFFSET_KEY
from joiner.core.plan import compile_view
from joiner.core.users import UserChange, UserState, encode_state, make_request_entry
from joiner.dead_letters.letter import DeadLetter, UnreadableRecord, to_message
from joiner.kafka import ledger
from joiner.metrics import Metrics
from joiner.queries import claims
from joiner.settings import JoinerSettings
from poller.cli import main as poller
from poller.settings import PollerSettings
from reader.cli import main as reader
from reader.http import openapi, problems
from reader.http.updates import NOTHING_KNOWN, find_update
from reader.settings import ReaderSettings
from reader.status.counters import ApplyCounters, ResponseCounters
from reader.status.prometheus import render_metrics
from reader.status.report import LiveCopy, StatusReport
from reader.storage import snapshot
from reader.storage.generations import Generations
from reader.storage.read_view import StoredRecord
from reader.storage.records import FORMAT
from replication.compatibility import CopyIdentity
from replication.readiness import Readiness
from replication.records import Record
from shared import builds, heartbeats, records, topics, unavailable
from shared.errors import BadRow
from shared.shape import BUILT_IN_SHAPE, SHAPE_KEY, Shape
from shared.shards import Shard
from shared.view.model import BUILT_IN
from sink.cli import main as sink
from sink.metrics import Metrics as SinkMetrics
from sink.settings import PostgresSettings, RedisSettings
from stack.cli import main as stack
from stack.run import RunSettings
from stack.settings import StackSettings
from tests.support.http import LocalServer, exchange
from tests.support.programs import ROOT
from tests.support.read_views import DictReadView

SETTINGS: dict[str, type[BaseSettings]] = {
    "joiner": JoinerSettings,
    "reader": ReaderSettings,
    "poller": PollerSettings,
    "stack": StackSettings,
    "stack run": RunSettings,
    "doctor": DoctorSettings,
    "sink postgres": PostgresSettings,
    "sink redis": RedisSettings,
}
PROGRAMS = {
    "doctor": doctor,
    "joiner": joiner,
    "reader": reader,
    "poller": poller,
    "sink": sink,
    "stack": stack,
    "bench": bench,
}
READY = Readiness("ready", serves=True, complete_at=0.0, fresh_ms=1, build_percent=1.0)
ALICE = StoredRecord(3, 1042, 0, b'{"userId":"alice"}')


def collect() -> dict[str, list[str]]:
    """Return the names by kind, each list sorted."""
    collectors: dict[str, Callable[[], Iterator[str]]] = {
        "environment variables": _variables,
        "commands": _commands,
        "topics": _topics,
        "records": _records,
        "metrics": _metrics,
        "alerts": _alerts,
        "HTTP routes": _routes,
        "HTTP replies": _replies,
        "problems": _problems,
        "events": _events,
        "files": _files,
        "state": _state,
        "dead letters": _dead_letters,
    }
    return {kind: sorted({name.strip() for name in collector()}) for kind, collector in collectors.items()}


def _variables() -> Iterator[str]:
    for program, settings in SETTINGS.items():
        for name, field in settings.model_fields.items():
            if field.description:
                yield f"{program} {name.upper()}={field.default}"


def _commands() -> Iterator[str]:
    for program, command in PROGRAMS.items():
        yield from _command(f"python -m {program}", command)


def _command(path: str, command: click.Command) -> Iterator[str]:
    yield path
    for parameter in command.params:
        kind = parameter.type.name if not isinstance(parameter.type, click.Choice) else "|".join(parameter.type.choices)
        names = " ".join([*parameter.opts, *parameter.secondary_opts])
        flags = "".join(f" {flag}" for flag in ("is_flag", "multiple", "required") if getattr(parameter, flag, False))
        default = parameter.to_info_dict()["default"]
        yield f"{path} {names} <{kind}>{flags}" + ("" if default is None or callable(default) else f" = {default}")
    if isinstance(command, click.Group):
        for name, subcommand in command.commands.items():
            yield from _command(f"{path} {name}", subcommand)


def _topics() -> Iterator[str]:
    specs = [
        topics.user_info_spec("user-info", 8),
        topics.user_info_changes_spec("user-info-changes", 8),
        topics.changelog_spec("changelog", 8),
        topics.ledger_spec("ledger"),
        topics.dead_letters_spec("user-info-dead-letters"),
        topics.heartbeats_spec("heartbeats"),
    ]
    for spec in specs:
        yield f"{spec.name}: {spec.partitions} {_pairs(spec.config)}"
    settings = JoinerSettings.model_construct()
    yield f"changelogs: {settings.changelog_prefix}<topic>--default"
    yield f"ledger: {settings.ledger_topic}"
    yield f"transactional id: {settings.transactional_id}"
    yield f"partitioner: {topics.PARTITIONER}"


def _pairs(named: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(named.items()))


def _records() -> Iterator[str]:
    heartbeat = heartbeats.Heartbeat(1, 2, 3)
    yield f"header {records.OLDEST_CHANGE_HEADER}"
    yield f"reserved keys {records.RESERVED_KEY_PREFIX!r}"
    yield f"heartbeat {heartbeat.key!r} {heartbeat.value!r}"
    mark = builds.BuildMark(1, 2, "b1", whole=False)
    yield f"mark {mark.key!r} {mark.value!r}"
    yield f"shape {SHAPE_KEY!r} {BUILT_IN_SHAPE.encode()!r}"
    yield f"unavailable value {unavailable.UNAVAILABLE}"
    for table in compile_view(BUILT_IN).tables.values():
        yield f"table {table.name} {table.primary_key} {' '.join(table.owners)}"
    for column, key in records.PROFILE_COLUMNS.items():
        yield f"field {column} {key}"
    for key in records.COUNT_KEYS:
        yield f"count {key}"


def _metrics() -> Iterator[str]:
    for tier, metrics in (("joiner", Metrics()), ("sink", SinkMetrics())):
        for metric, names in vars(metrics.registry)["_collector_to_names"].items():
            for name in names:
                yield f"{tier} {name}{{{','.join(vars(metric)['_labelnames'])}}}"
    counted, applied = ResponseCounters({200: 1}), ApplyCounters()
    report = StatusReport(READY, True, LiveCopy("copy-2", 7, 4096), {0: 3}, {0: 1.5}, applied, {0: 1})
    for family in text_string_to_metric_families(render_metrics([counted], report, Shard(0, 2)).decode()):
        for sample in family.samples:
            yield f"reader {sample.name}{{{','.join(sample.labels)}}} {family.type}"
            if "state" in sample.labels:
                yield f"reader {sample.name} state={sample.labels['state']}"


def _alerts() -> Iterator[str]:
    for file in sorted((ROOT / "ops" / "prometheus" / "rules").glob("*.yml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                labels = _pairs(rule.get("labels", {}))
                yield f"alert {rule['alert']} {labels}" if "alert" in rule else f"record {rule['record']} {labels}"


def _routes() -> Iterator[str]:
    document = openapi.build_document()
    for path, item in document["paths"].items():
        for parameter in item["parameters"]:
            whole = _resolved(document, parameter)
            yield f"{path} parameter {whole['in']} {whole['name']}"
        yield from (f"{path} method {method}" for method in item if method != "parameters")
        for status, reply in item["get"]["responses"].items():
            whole = _resolved(document, reply)
            headers = " ".join(sorted(whole.get("headers", {})))
            yield f"{path} {status} [{headers}] {' '.join(whole.get('content', {}))}"
    for name, schema in document["components"]["schemas"].items():
        for key in schema["properties"]:
            yield f"schema {name if name in {'Record', 'Problem'} else 'readiness'} {key}"
    for kind in document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]:
        yield f"problem {kind}"


def _resolved(document: Mapping[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    found: Any = document
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


_CLOSE = b"Connection: close\r\n\r\n"
REQUESTS = {
    "a user": b"GET /users/alice HTTP/1.1\r\nHost: here\r\n",
    "a user not modified": b"GET /users/alice HTTP/1.1\r\nHost: here\r\nIf-None-Match: *\r\n",
    "no user": b"GET /users/bob HTTP/1.1\r\nHost: here\r\n",
    "users": b"GET /users?id=alice&id=bob HTTP/1.1\r\nHost: here\r\n",
    "no ids": b"GET /users HTTP/1.1\r\nHost: here\r\n",
    "an offset to come": b"GET /users/alice HTTP/1.1\r\nHost: here\r\nIf-Min-Offset: 3:9999\r\n",
    "an offset of another topic": b"GET /users/alice HTTP/1.1\r\nHost: here\r\nIf-Min-Offset: 3:0:12345678\r\n",
    "an offset that is none": b"GET /users/alice HTTP/1.1\r\nHost: here\r\nIf-Min-Offset: x\r\n",
    "fresher": b"GET /users/alice HTTP/1.1\r\nHost: here\r\nMax-Staleness-Seconds: 1\r\n",
    "no route": b"GET /nowhere HTTP/1.1\r\nHost: here\r\n",
    "a change": b"POST /users/alice HTTP/1.1\r\nHost: here\r\n",
    "no host": b"GET /users/alice HTTP/1.1\r\n",
    "nonsense": b"nonsense\r\n",
    "a long target": b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: here\r\n",
    "large headers": b"GET /livez HTTP/1.1\r\nHost: here\r\nX: " + b"x" * 200_000 + b"\r\n",
    "readyz": b"GET /readyz HTTP/1.1\r\nHost: here\r\n",
    "livez": b"GET /livez HTTP/1.1\r\nHost: here\r\n",
    "a URL": b"GET http://here:8000/livez HTTP/1.1\r\nHost: here\r\n",
    "no target": b"OPTIONS * HTTP/1.1\r\nHost: here\r\n",
    "metrics": b"GET /metrics HTTP/1.1\r\nHost: here\r\n",
    "the description": b"GET /openapi.json HTTP/1.1\r\nHost: here\r\n",
}


def _replies() -> Iterator[str]:
    for state, progress in {"ready": READY, "replaying": Readiness("replaying")}.items():
        with LocalServer({b"alice": ALICE}, readiness=progress) as serving:
            for name, request in REQUESTS.items():
                yield f"{state}, {name}: {_reply(exchange(serving.port, request + _CLOSE))}"
    with LocalServer({b"alice": ALICE}, readiness=READY, partitions=251) as serving:  # bob would be where alice is
        yield f"ready, no user since an offset: {_reply(exchange(serving.port, REQUESTS['no user'] + _CLOSE))}"


def _reply(received: bytes) -> str:
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = sorted(line.partition(":")[0].lower() for line in lines)
    document = json.loads(body) if body.startswith(b"{") else {}
    problem = f" {document['type']} {document['title']!r}" if "title" in document else f" {' '.join(document)}"
    return f"{status.partition(' ')[2]} [{' '.join(headers)}]{problem if 'openapi' not in document else ''}"


def _problems() -> Iterator[str]:
    for made in vars(problems).values():
        body = getattr(made, "body", None)
        if isinstance(body, bytes):
            document = json.loads(body)
            yield f"{document['status']} {document['type']} {document['title']!r}"


def _events() -> Iterator[str]:
    nothing_since = DictReadView({}, {3: 1043}, partitions=4)
    for view in (DictReadView({b"alice": ALICE}), DictReadView({}), nothing_since):
        found = find_update(view, b"alice", NOTHING_KNOWN)
        assert found is not None
        yield " ".join(line for line in found.encode().decode().split("\n") if line.partition(":")[0] != "data")


def _files() -> Iterator[str]:
    with TemporaryDirectory() as name:
        state, copy = Path(name) / "state", Path(name) / "snapshot"
        made = Generations(state)
        heartbeat, mark = heartbeats.Heartbeat(1, 2, 3), builds.BuildMark(1, 2, "b1", whole=True)
        made.live.apply(
            [Record(b"alice", b"{}", 3, 1042, 0)],
            {3: 1043},
            [
                Record(heartbeat.key, heartbeat.value, 3, 1042, 0),
                Record(mark.key, mark.value, 3, 1042, 0),
                Record(SHAPE_KEY, Shape("users", "userId", (), (), ()).encode(), 3, 1042, 0),
            ],
        )
        made.live.write_notes(identity=CopyIdentity("cluster", "topic", 8, FORMAT).to_note(), begun=1, complete=1)
        live = made.live.folder
        yield from (f"reader {file.relative_to(state)}" for file in state.rglob("*"))
        made.close()
        yield from (f"reader, stopped: {file.relative_to(state)}" for file in state.rglob("*"))
        manifest = snapshot.take(state, copy)
        yield from (f"snapshot {file.name}" for file in copy.iterdir())
        yield from (f"manifest {key}" for key in manifest)
        yield f"current: {(state / 'current').read_text()}"
        with lmdb.open(str(live), max_dbs=2, readonly=True) as environment, environment.begin() as transaction:
            for database, _ in list(transaction.cursor()):
                table = environment.open_db(bytes(database), create=False)
                for key, value in environment.begin(db=table).cursor():
                    yield f"LMDB {database.decode()} {bytes(key)!r} {bytes(value)!r}"
    settings = JoinerSettings.model_construct()
    yield f"joiner {settings.local_state.relative_to(settings.joiner_state_dir)}"


def _state() -> Iterator[str]:
    known = compatibility.StateInputs({"users": compatibility.TopicIdentity("id", 3)})
    yield f"ledger inputs {known.encode()!r}"
    for key in (
        ledger.INPUTS,
        ledger.REBUILD,
        ledger.RESETTING,
        ledger.FORMS_ARE_WHOLE,
        ledger.caught_up_key(("users", 3)),
        ledger.key_form_key("users", "text"),
        claims.claim_key(3),
    ):
        yield f"ledger key {key!r}"
    yield f"joiner's claim {claims.Claim('0', 'http://joiner-0:8001').encode()!r}"
    yield f"joiner format {compatibility.FORMAT}"
    yield f"reader format {FORMAT}"
    for key in (APPLIED_OFFSET_KEY, FOLLOWED_KEY, SENT_KEY):
        yield f"state key {key!r}"
    link = Link(name_source_chain("likes", 3), 1042)
    yield f"chain {encode_links([link])!r} {FollowedChains({link.chain: ('', link.number)}).encode(7)!r}"
    yield f"header {CHAIN_HEADER} of a change"
    profile = ("alice", *[None] * 7)
    yield f"user state {encode_state(UserState(profile, (1, 2, 3, 4), 5, 6))!r}"
    *change, fields = json.loads(UserChange([1, 2, 3, 4], profile, 5, 6).encode("alice"))
    yield f"change {[*change, tuple(fields)]!r}"
    yield f"request to show {make_request_entry('alice', 5)!r}"


def _dead_letters() -> Iterator[str]:
    letter = UnreadableRecord("users", 3, 1042, b"key", b"x" * topics.MAX_RECORD_BYTES, 1)
    yield from (f"header {name}" for name, _ in to_message(letter, BadRow("bad-json", "no JSON")).headers)
    for content in (b"text", b"\xff"):
        shown = DeadLetter(
            UnreadableRecord("users", 3, 1042, content, content, 1), "bad-json", "no JSON", whole=False
        ).to_json()
        yield from (f"as JSON {key}" for key in shown)
    for file in (ROOT / "joiner").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "BadRow":
                assert isinstance(node.args[0], ast.Constant), f"{file}: a reason is written out where it is given"
                yield f"reason {ast.literal_eval(node.args[0])}"
