"""The form of a topic's keys: what remains of a key's bytes where each value is replaced by the name of its type.

Kafka chooses partitions, and compacts, by the bytes of a key. Where those change and the row does not, as after another
type was given to a key's column, a row lies in two partitions and counts twice, or twice in one and outlives its
deletion. So the keys of a topic have one form; that of Avro's is their schema's id, which each of them begins with.
Guarantees: a key of another form is refused. Pure: no Kafka, no clock.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import takewhile
from typing import TYPE_CHECKING

from joiner.core.compatibility import RESET, LedgerNotes
from joiner.core.connect_schema import is_wrapper, read_fields, read_schema
from joiner.core.values import AVRO_FIRST, load_json
from shared.errors import StateError

if TYPE_CHECKING:
    from joiner.core.avro import AvroDecoder

TEXT = "text"
"""The form of keys that are an id's text as it stands; all other forms are JSON."""

RELOAD = (
    'have the source write this topic again, under keys of one form, as "Reload source topics" in docs/operations.md'
    f" describes; that is, once the topic has been deleted: {RESET}"
)

_TOKEN = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[-+.\w]+|[{}\[\]]', re.DOTALL)

_LITERALS = {b"true": "boolean", b"false": "boolean", b"null": "null"}

_VALUES = {
    "text": rb'"[^"\\]*(?:\\.[^"\\]*)*"',
    "number": rb"[-+.\deE]+",
    "boolean": rb"(?:true|false)",
    "null": rb"null",
}
"""Type -> what its values look like."""

_PLAIN = rb'[^{"\[ \t\r\n\0].*'
"""What ids' texts look like, but for those that begin like JSON and are none."""

_AVRO = re.compile(r'\{"avro":(\d+),"columns":(.*)\}')
"""The form of Avro's keys: JSON's have names of types for values, and no number."""

_SHOWN_BEFORE, _SHOWN = 20, 60
"""How many characters a message shows of each form, and how many of those are before the first that differs."""


class KeyForms:
    """Compares each key with the form of its topic's keys. Used by the loop's thread alone.

    Args:
        topics: the source topics.
        noted: what the group has noted.
        note: notes the form of a topic's keys, and returns all forms that are noted of this topic by then.
        avro: reads Avro; None: no schema registry is known.

    Raises:
        StateError: two forms are noted of one topic.
    """

    def __init__(
        self,
        topics: Iterable[str],
        noted: LedgerNotes,
        note: Callable[[str, str], Collection[str]],
        avro: "AvroDecoder | None" = None,
    ) -> None:
        self.matches: dict[str, Callable[[bytes], object]] = dict.fromkeys(topics, _match_none)
        """Topic -> what is true of most keys that have the known form; `check` decides on the others."""
        self._forms: dict[str, str] = {}
        self._are_whole = noted.forms_are_whole
        self._note = note
        self._avro = avro
        for topic, forms in noted.key_forms.items():
            self._learn(topic, forms)

    def check(self, topic: str, key: bytes, location: str) -> None:
        """Make sure that a key has the form of its topic's keys; note the form of a topic's first key.

        Args:
            topic: a source topic.
            key: of a record that a row was read from.
            location: of that record, for people.

        Raises:
            StateError: it has another form; or an earlier version, which noted none, read other rows from this form.
            Interrupted: Kafka did not accept the note.
        """
        form, known = read_form(key, self._avro), self._forms.get(topic)
        if known is None:
            if not self._are_whole and not is_plain(form):
                columns, encoding = _describe(form)
                raise StateError(
                    f"the keys of {topic} are {columns} ({encoding}), from which the earlier version that joined this"
                    " state read other rows",
                    hint=RESET,
                )
            self._learn(topic, self._note(topic, form))
        elif form != known:
            raise _refuse(topic, known, form, f" (at {location})")

    def _learn(self, topic: str, forms: Collection[str]) -> None:
        first, *others = sorted(forms)
        if others:
            raise _refuse(topic, first, others[0])
        self._forms[topic] = first
        self.matches[topic] = compile_form(first)


def _match_none(key: bytes) -> None:
    """Leave each key to `check`."""


def _refuse(topic: str, known: str, other: str, where: str = "") -> StateError:
    before, now = describe_change(known, other)
    return StateError(
        f"{topic} has keys of two forms, {before} and {now}{where}; to Kafka these are different keys, so a row that"
        " has both counts twice, or outlives its deletion",
        hint=RELOAD,
    )


def read_form(key: bytes, avro: "AvroDecoder | None" = None) -> str:
    """Return the form of a key.

    Args:
        key: of a record that a row was read from.
        avro: has read it, if it is Avro.
    """
    if avro is not None and key[:1] == AVRO_FIRST:
        schema_id, columns = avro.describe_key(key)
        return json.dumps({"avro": schema_id, "columns": columns}, separators=(",", ":"))
    if key.lstrip(b" \t\r\n")[:1] not in (b"{", b'"'):
        return TEXT
    try:
        wrapped = is_wrapper(load_json(key))
    except (ValueError, RecursionError):
        return TEXT
    pieces = [piece if kind is None else b'"%b"' % kind.encode() for piece, kind in _split(key, wrapped)]
    return b"".join(pieces).decode(errors="replace")


def _split(text: bytes, wrapped: bool) -> Iterator[tuple[bytes, str | None]]:
    """Yield the pieces of JSON: each value with its type; what belongs to the form, a schema included, with None."""
    depth = begin = 0
    in_schema = False
    for token in _TOKEN.finditer(text):
        piece, string, colon = token.group(0, 1, 2)
        if piece in b"{[":
            depth += 1
        elif piece in b"}]":
            depth -= 1
        elif colon:
            in_schema = in_schema if depth > 1 else wrapped and string == b'"schema"'
        elif not in_schema:
            yield text[begin : token.start()], None
            yield piece, "text" if string else _LITERALS.get(piece, "number")
            begin = token.end()
    yield text[begin:], None


def compile_form(form: str) -> Callable[[bytes], object]:
    """Return what recognizes keys of a form, except an id's text that begins like JSON."""
    if form == TEXT:
        pattern = _PLAIN
    elif avro := _AVRO.fullmatch(form):
        pattern = re.escape(AVRO_FIRST + int(avro[1]).to_bytes(4, "big")) + b".*"
    else:
        pieces = _split(form.encode(), is_wrapper(load_json(form.encode())))
        # The values in a form are the names of types.
        pattern = b"".join(_VALUES[load_json(piece)] if kind else re.escape(piece) for piece, kind in pieces)
    return re.compile(pattern, re.DOTALL).fullmatch


def is_plain(form: str) -> bool:
    """Return whether all versions read the same id from keys of a form: one value, not encoded."""
    if form == TEXT or _AVRO.fullmatch(form):
        return form == TEXT
    document = load_json(form.encode())
    if is_wrapper(document):
        schema = read_schema(document["schema"])
        if schema.fields or schema.payload is not None:
            return False
        document = document["payload"]
    return not isinstance(document, dict) or len(document) == 1


def describe_change(known: str, other: str) -> tuple[str, str]:
    """Return for people in what two forms differ, such as `like_id int32` and `like_id int64`."""
    (columns, encoding), (other_columns, other_encoding) = _describe(known), _describe(other)
    if encoding != other_encoding:
        return f"{columns} ({encoding})", f"{other_columns} ({other_encoding})"
    if columns != other_columns:
        return columns, other_columns
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(known, other, strict=False)))
    start = max(0, same - _SHOWN_BEFORE)
    return f"…{known[start : start + _SHOWN]}…", f"…{other[start : start + _SHOWN]}…"


def _describe(form: str) -> tuple[str, str]:
    """Return a form as messages show it: its columns with their types, and how they are written."""
    if form == TEXT:
        return "an id", "plain text"
    document = load_json(form.encode())
    if avro := _AVRO.fullmatch(form):
        columns = document["columns"]
        named = ", ".join(f"{name} {kind}" for name, kind in columns.items()) if isinstance(columns, dict) else columns
        return named, f"Avro, schema {avro[1]}"
    encoding = "JSON"
    types: dict[str, str] = {}
    if is_wrapper(document):
        fields, encoding = read_fields(document["schema"]), "JSON with a schema"
        types = {name: str(each.get("name") or each.get("type")).rpartition(".")[2] for name, each in fields.items()}
        document = document["payload"]
    if re.search(r"\s", re.sub(r'"[^"]*"', "", form)):
        encoding += ", with blanks"
    if not isinstance(document, dict):
        return f"a {document}", encoding
    return ", ".join(f"{name} {types.get(name, kind)}" for name, kind in document.items()), encoding
