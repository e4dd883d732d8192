"""What Hypothesis draws: rows' histories as Kafka may deliver them, in every encoding that a source may use.

Order holds only within a row. Everything is small, so that rows and owners collide and failures shrink to a few lines.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from tests.support.avro import write_avro

UNAVAILABLE = "__debezium_unavailable_value"
PRIMARY_KEYS = {"users": "user_id", "tweets": "tweet_id", "follows": "follow_id", "likes": "like_id"}
OWNERS = {"users": (), "tweets": ("user_id",), "follows": ("follower_id", "followee_id"), "likes": ("user_id",)}
USER_IDS = ("7", "é")
ROW_IDS = ("1", "r")
NUMERIC_ROW_IDS = ("1", "2")

Row = dict[str, str | None]


@dataclass(frozen=True)
class Event:
    """One record of a source topic.

    Args:
        table: whose topic it is in.
        row_id: whose row it is about.
        row: what the row holds then, a description that was not sent included as UNAVAILABLE; None: it is gone.
        key: as written to Kafka.
        value: as written to Kafka.
        source_ms: when the source made the change.
    """

    table: str
    row_id: str
    row: Row | None
    key: bytes
    value: bytes | None
    source_ms: int

    def __repr__(self) -> str:
        """Be short, since a history is read when something is wrong."""
        return f"{self.table}[{self.row_id}]={self.row} @{self.source_ms}"


@dataclass(frozen=True)
class KeyWriter:
    """How a source writes the keys of its rows.

    Args:
        encoding: of KEY_ENCODINGS.
        as_number: whether ids are numbers; those that cannot be are text.
        separators: of JSON, as json.dumps takes them.
        scale: of ids that are decimals.
    """

    encoding: str
    as_number: bool
    separators: tuple[str, str] | None
    scale: int

    def write(self, table: str, row_id: str, *, ascii_only: bool = True) -> bytes:
        """Return a row's key."""
        column = PRIMARY_KEYS[table]
        spelling = spell_id(row_id, self.as_number)
        document: object = {column: spelling}
        match self.encoding:
            case "text":
                return row_id.encode()
            case "string":
                document = row_id
            case "wrapped":
                document = {"schema": {"type": "struct"}, "payload": document}
            case "wrapped alone":
                document = {"schema": {"type": "int64"}, "payload": spelling}
            case "avro":
                return write_avro(document)
            case "decimal" if isinstance(spelling, int):
                encoded = {column: encode_decimal(spelling, self.scale)}
                document = {"schema": decimal_schema([column], self.scale), "payload": encoded}
        return json.dumps(document, ensure_ascii=ascii_only, separators=self.separators).encode()


@dataclass(frozen=True)
class History:
    """Events in an order in which Kafka may deliver them, the tables that they end in, and what writes their keys."""

    events: tuple[Event, ...]
    tables: dict[str, list[Row]]
    writers: dict[str, KeyWriter] = field(default_factory=dict)


ids = st.sampled_from(USER_IDS)
owners = st.sampled_from([*USER_IDS, *USER_IDS, "ghost", None])
bad_values = st.sampled_from(
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff",
        b'{"op": "c"}',
        b'{"op": "t", "before": null}',
        b'{"op": "d", "before": {"user_id": "?", "tweet_id": "?", "follow_id": "?", "like_id": "?"}}',
        b'{"user_id": null, "tweet_id": null, "follow_id": null, "like_id": null}',
        b'{"username": "x", "follower_id": "a", "followee_id": "a"}',
    ]
)
texts = st.one_of(st.none(), st.sampled_from(["x", "Ünï 🦉", ""]))
number_or_text = st.booleans()
scales = st.integers(0, 2)
separators = st.sampled_from([None, (",", ":")])
unread = st.sampled_from([[1], "half \ud83d", float("nan"), {"deep": ["\udfff", float("-inf")]}])
nulls = st.sampled_from([None, None, b'{"schema":null,"payload":null}'])
wrapped = st.booleans()
in_avro = st.booleans()
unavailable = st.sampled_from(
    [
        UNAVAILABLE,
        base64.b64encode(UNAVAILABLE.encode()).decode(),
        UNAVAILABLE.encode().hex(),
        [UNAVAILABLE],
        list(UNAVAILABLE.encode()),
        {UNAVAILABLE: UNAVAILABLE},
    ]
)
bad_keys = st.sampled_from(
    [b'{"id":7}', b"[7]", b'{"user_id":1', b"Struct{user_id=1}", b"\0\0\0\0\0\0\0\7", b'"\\ud800"', b"\xff"]
)


def spell_id(value: str | None, as_number: bool) -> object:
    """Return an id as a row may hold it: 7 and "7" are the same."""
    return int(value) if value is not None and value.isdigit() and as_number else value


def encode_decimal(value: object, scale: int) -> object:
    """Return a numeric id as Connect writes it by default; another one as it is."""
    if not isinstance(value, int):
        return value
    unscaled = value * 10**scale
    return base64.b64encode(unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)).decode()


def decimal_schema(columns: Iterable[str], scale: int) -> dict[str, object]:
    """Return the schema of a row whose columns are decimals."""
    decimal = {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": str(scale)}}
    return {"type": "struct", "fields": [{**decimal, "field": column} for column in columns]}


@st.composite
def dumped(draw: st.DrawFn, document: object) -> bytes:
    """Draw a way to write a document as JSON; text that UTF-8 cannot hold is written all the same."""
    text = json.dumps(document, ensure_ascii=draw(st.booleans()), separators=draw(separators))
    return text.encode(errors="surrogatepass")


KEY_ENCODINGS = ["text", "string", "object", "wrapped", "wrapped alone", "decimal", "avro"]
key_writers = st.builds(KeyWriter, st.sampled_from(KEY_ENCODINGS), number_or_text, separators, scales)


@st.composite
def keys(draw: st.DrawFn, table: str, row_id: str) -> bytes:
    """Draw one of the encodings of a key."""
    return draw(key_writers).write(table, row_id, ascii_only=draw(st.booleans()))


@st.composite
def values(draw: st.DrawFn, table: str, row_id: str, change: tuple[Row | None, Row | None], source_ms: int) -> bytes:
    """Draw one of the encodings of a row (before, after), or of its deletion as Debezium's first message says it."""
    before, row = change
    as_number = draw(number_or_text)
    ids_of = [PRIMARY_KEYS[table], *OWNERS[table]]
    scale = draw(st.none() | scales)
    numeric = [row_id, *[(values or {}).get(column) for column in OWNERS[table] for values in change]]
    if not as_number or not all(value is None or value.isdigit() for value in numeric):
        scale = None
    spoilt, missing = draw(unread), draw(unavailable)

    def spelt(values: Row | None) -> dict[str, object] | None:
        if values is None:
            return None
        spelt_ids = {name: spell_id(value, as_number) for name, value in values.items() if name in ids_of}
        whole = {PRIMARY_KEYS[table]: spell_id(row_id, as_number), **values, **spelt_ids}
        if scale is not None:
            whole |= {name: encode_decimal(whole[name], scale) for name in ids_of}
        return {
            "unknown_column": spoilt,
            **{name: missing if value == UNAVAILABLE else value for name, value in whole.items()},
        }

    operation = "d" if row is None else draw(st.sampled_from("cur"))
    schema: dict[str, object] | None = None if scale is None else decimal_schema(ids_of, scale)
    if draw(st.booleans()):
        document: dict[str, object] = {
            "before": spelt(before),
            "after": spelt(row),
            "op": operation,
            "source": {"ts_ms": source_ms},
        }
        schema = schema and {"type": "struct", "fields": [{"field": "after", **schema}]}
    else:
        known = row if row is not None else before or dict.fromkeys(OWNERS[table])
        document = {**(spelt(known) or {}), **draw(markers(operation, source_ms))}
    if scale is None and draw(in_avro):
        return write_avro(_leave_out_unread(document))
    if scale is not None or draw(wrapped):
        return draw(dumped({"schema": schema, "payload": document}))
    return draw(dumped(document))


def _leave_out_unread(document: dict[str, object]) -> dict[str, object]:
    """Return a document without what Avro cannot hold: half an emoji, and the columns that go with it."""
    return {
        name: _leave_out_unread(value) if isinstance(value, dict) and name in ("before", "after") else value
        for name, value in document.items()
        if name != "unknown_column"
    }


@st.composite
def markers(draw: st.DrawFn, operation: str, source_ms: int) -> dict[str, object]:
    """Draw what Debezium's flattening adds to a row; a deletion must say so, in one way or the other."""
    gone = operation == "d"
    added: dict[str, object] = {}
    if draw(st.booleans()):
        added["__deleted"] = draw(st.sampled_from([gone, str(gone).lower()]))
    if draw(st.booleans()) or (gone and not added):
        added["__op"] = operation
    if draw(st.booleans()):
        added["__source_ts_ms"] = source_ms
    return added


@st.composite
def rows(draw: st.DrawFn, table: str) -> Row:
    """Draw what a row holds apart from its key."""
    if table == "users":
        return {"username": draw(texts), "description": draw(texts)}
    return {column: draw(owners) for column in OWNERS[table]}


@st.composite
def row_histories(draw: st.DrawFn, table: str, row_id: str, writer: KeyWriter) -> tuple[list[Event], Row | None]:
    """Draw one row's life: written, edited, moved, deleted twice over, written again, delivered again."""
    events: list[Event] = []
    row: Row | None = None

    def write(sent: Row | None, *, tombstone: bool = False) -> None:
        source_ms = draw(st.integers(1, 50))
        key = writer.write(table, row_id, ascii_only=draw(st.booleans()))
        value = draw(nulls) if tombstone else draw(values(table, row_id, (row, sent), source_ms))
        events.append(Event(table, row_id, sent, key, value, source_ms))

    for action in draw(st.lists(st.sampled_from(["write", "delete", "again", "unavailable"]), max_size=5)):
        if action == "write":
            fresh = draw(rows(table))
            write(fresh)
            row = fresh
        elif action == "delete":
            if draw(st.booleans()):
                write(None)
            row = None
            for _ in range(draw(st.integers(1, 2))):
                write(None, tombstone=True)
        elif action == "again":
            events += events[-draw(st.integers(1, 3)) :]
        elif action == "unavailable" and table == "users":
            edit = {"username": draw(texts), "description": UNAVAILABLE}
            known = row["description"] if row is not None else None
            write(edit)
            row = {**edit, "description": known}
    return events, row


@st.composite
def poisoned_histories(draw: st.DrawFn, history: History) -> tuple[Event, ...]:
    """Draw a history with records in between that no row can be read from, under the keys of its rows."""
    events = list(history.events)
    for _ in range(draw(st.integers(1, 4))):
        table = draw(st.sampled_from(list(PRIMARY_KEYS)))
        row_id = draw(ids if table == "users" else st.sampled_from(ROW_IDS))
        key, value = draw(st.tuples(st.just(row_id.encode()), bad_values) | st.tuples(bad_keys, st.none() | bad_values))
        event = Event(table, row_id, None, key, value, 60)
        events.insert(draw(st.integers(0, len(events))), event)
    return tuple(events)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw the lives of a few rows of each table, interleaved in any way that keeps each row's own order.

    The keys of a table have one form.
    """
    lives, tables, writers = [], [], {}
    for table in PRIMARY_KEYS:
        row_ids = USER_IDS if table == "users" else draw(st.sampled_from([ROW_IDS, NUMERIC_ROW_IDS]))
        writer = draw(key_writers)
        if not all(row_id.isdigit() for row_id in row_ids):
            writer = replace(writer, as_number=False)
        writers[table] = writer
        for row_id in row_ids:
            lives.append(draw(row_histories(table, row_id, writer)))
            tables.append((table, row_id))
    turns = [life for life, (events, _) in enumerate(lives) for _ in events]
    waiting = [iter(events) for events, _ in lives]
    events = tuple(next(waiting[life]) for life in draw(st.permutations(turns)))
    final: dict[str, list[Row]] = {table: [] for table in PRIMARY_KEYS}
    for (table, row_id), (_, row) in zip(tables, lives, strict=True):
        if row is not None:
            final[table].append({PRIMARY_KEYS[table]: row_id, **row})
    return History(events, final, writers)
